"""Tensor names and shapes of published networks as timm and transformers build them; no weights are made or downloaded.

Usage: headers.py FILE

timm knows its architectures by name. transformers' hyperparameters are those of the published config.json files (fields that
equal the library's defaults left out, as such files may).
"""

import json
import re
import sys
import tempfile
from pathlib import Path

import timm
import torch
import transformers as t
from timm.models._hub import save_config_for_hf

TIMM = [
    ('DINO', 'S/16', 'vit_small_patch16_224.dino'),
    ('DINO', 'B/16', 'vit_base_patch16_224.dino'),
    ('DINOv3', 'B/16', 'vit_base_patch16_dinov3.lvd1689m'),
    ('DINOv3', 'H+/16', 'vit_huge_plus_patch16_dinov3.lvd1689m'),
    ('SigLIP2', 'B/16', 'vit_base_patch16_siglip_224.v2_webli'),
    ('SigLIP2', 'g-opt/16', 'vit_giantopt_patch16_siglip_256.v2_webli'),
    ('DeiT', 'B/16 distilled', 'deit_base_distilled_patch16_224.fb_in1k'),
    ('DeiT III', 'S/16', 'deit3_small_patch16_224.fb_in1k'),
    ('DeiT III', 'B/16', 'deit3_base_patch16_224.fb_in1k'),
    ('DeiT III', 'L/16', 'deit3_large_patch16_224.fb_in1k'),
    ('DeiT III', 'H/14', 'deit3_huge_patch14_224.fb_in1k'),
    ('AugReg', 'Ti/16', 'vit_tiny_patch16_224.augreg_in21k_ft_in1k'),
    ('AugReg', 'S/16', 'vit_small_patch16_224.augreg_in21k_ft_in1k'),
    ('AugReg', 'B/16', 'vit_base_patch16_224.augreg_in21k_ft_in1k'),
    ('AugReg', 'L/16', 'vit_large_patch16_224.augreg_in21k_ft_in1k'),
    ('DINOv2 with registers', 'S/14', 'vit_small_patch14_reg4_dinov2.lvd142m'),
    ('DINOv2 with registers', 'B/14', 'vit_base_patch14_reg4_dinov2.lvd142m'),
    ('DINOv2 with registers', 'L/14', 'vit_large_patch14_reg4_dinov2.lvd142m'),
    ('DINOv2 with registers', 'g/14', 'vit_giant_patch14_reg4_dinov2.lvd142m'),
    ('CLIP', 'B/16', 'vit_base_patch16_clip_quickgelu_224.openai'),
    ('CLIP', 'L/14', 'vit_large_patch14_clip_quickgelu_224.openai'),
    ('SigLIP', 'B/16', 'vit_base_patch16_siglip_224.webli'),
    ('SigLIP', 'so400m/14', 'vit_so400m_patch14_siglip_384.webli'),
]


def transformers_networks():
    def square(size):
        return {'height': size, 'width': size}

    def vit(width, depth, heads, **more):
        return {'hidden_size': width, 'num_hidden_layers': depth, 'num_attention_heads': heads, 'intermediate_size': 4 * width, **more}

    def dino(name, *size):
        model = t.ViTModel(t.ViTConfig(**vit(*size)))
        return model, t.ViTImageProcessor(size=square(224), image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])

    def augreg(name, *size):
        return t.ViTForImageClassification(t.ViTConfig(**vit(*size), num_labels=1000)), t.ViTImageProcessor(size=square(224))

    def deit(name, *size):
        model = t.DeiTForImageClassificationWithTeacher(t.DeiTConfig(**vit(*size), num_labels=1000))
        return model, t.DeiTImageProcessor(size=square(256), crop_size=square(224))

    def dinov3(name, *size, **more):
        config = t.DINOv3ViTConfig(**vit(*size), num_register_tokens=4, **more)
        return t.DINOv3ViTModel(config), t.DINOv3ViTImageProcessorFast(size=square(224))

    text = {'vocab_size': 7, 'hidden_size': 8, 'intermediate_size': 8, 'num_hidden_layers': 1, 'num_attention_heads': 1,
            'max_position_embeddings': 4, 'bos_token_id': 0, 'eos_token_id': 1, 'pad_token_id': 1}

    def siglip(name, *size, patch, image, **more):
        config = t.SiglipConfig(text_config=text, vision_config=vit(*size, patch_size=patch, image_size=image, **more))
        return t.SiglipModel(config), t.SiglipImageProcessor(size=square(image), resample=2)

    def registers(name, width, depth, heads, **more):
        config = t.Dinov2WithRegistersConfig(
            hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads, image_size=518, patch_size=14,
            num_register_tokens=4, **more)
        return t.Dinov2WithRegistersModel(config), t.BitImageProcessor(size={'shortest_edge': 256}, crop_size=square(224))

    def clip(name, *size, patch, projection):
        config = t.CLIPConfig(text_config=text, vision_config=vit(*size, patch_size=patch), projection_dim=projection)
        return t.CLIPModel(config), t.CLIPImageProcessor(size={'shortest_edge': 224}, crop_size=square(224))

    base, large = (768, 12, 12), (1024, 24, 16)
    yield 'DINO', 'S/16', 'facebook/dino-vits16', dino, (384, 12, 6), {}
    yield 'DINO', 'B/16', 'facebook/dino-vitb16', dino, base, {}
    yield 'DINOv3', 'B/16', 'facebook/dinov3-vitb16-pretrain-lvd1689m', dinov3, base, {}
    yield 'DINOv3', 'H+/16', 'facebook/dinov3-vith16plus-pretrain-lvd1689m', dinov3, (1280, 32, 20), {
        'use_gated_mlp': True, 'hidden_act': 'silu'}
    yield 'SigLIP2', 'B/16', 'google/siglip2-base-patch16-224', siglip, base, {'patch': 16, 'image': 224}
    yield 'SigLIP2', 'g-opt/16', 'google/siglip2-giant-opt-patch16-256', siglip, (1536, 40, 16), {'patch': 16, 'image': 256}
    yield 'DeiT', 'B/16 distilled', 'facebook/deit-base-distilled-patch16-224', deit, base, {}
    yield 'AugReg', 'B/16', 'google/vit-base-patch16-224', augreg, base, {}
    yield 'AugReg', 'L/16', 'google/vit-large-patch16-224', augreg, large, {}
    yield 'DINOv2 with registers', 'S/14', 'facebook/dinov2-with-registers-small', registers, (384, 12, 6), {}
    yield 'DINOv2 with registers', 'B/14', 'facebook/dinov2-with-registers-base', registers, base, {}
    yield 'DINOv2 with registers', 'L/14', 'facebook/dinov2-with-registers-large', registers, large, {}
    yield 'DINOv2 with registers', 'g/14', 'facebook/dinov2-with-registers-giant', registers, (1536, 40, 24), {
        'use_swiglu_ffn': True}
    yield 'CLIP', 'B/16', 'openai/clip-vit-base-patch16', clip, base, {'patch': 16, 'projection': 512}
    yield 'CLIP', 'L/14', 'openai/clip-vit-large-patch14', clip, large, {'patch': 14, 'projection': 768}
    yield 'SigLIP', 'B/16', 'google/siglip-base-patch16-224', siglip, base, {'patch': 16, 'image': 224}
    yield 'SigLIP', 'so400m/14', 'google/siglip-so400m-patch14-384', siglip, (1152, 27, 16), {
        'patch': 14, 'image': 384, 'intermediate_size': 4304}


BLOCK = re.compile(r'^((?:.*\.)?(?:blocks|layers?)\.)(\d+)\.')


def folded(tensors):
    """Blocks are alike: the first stands for all of its list, `*` for its number. Fails if they are not."""
    depths = {}
    for name in tensors:
        if match := BLOCK.match(name):
            depths[match[1]] = max(depths.get(match[1], 0), int(match[2]) + 1)
    rows = {}
    for name, shape in tensors.items():
        match = BLOCK.match(name)
        if not match:
            rows[name] = shape
            continue
        rest = name[match.end():]
        assert all(tensors[f'{match[1]}{block}.{rest}'] == shape for block in range(depths[match[1]])), name
        rows[f'{match[1]}*.{rest}'] = shape
    return depths, rows


def entry(family, size, naming, name, model, config, processor=None):
    tensors = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
    depths, rows = folded(tensors)
    return {'family': family, 'size': size, 'naming': naming, 'name': name, 'config': config,
            **({'processor': processor} if processor else {}), 'depths': depths, 'tensors': rows}


def timm_entry(family, size, name):
    with torch.device('meta'):
        model = timm.create_model(name)
    with tempfile.TemporaryDirectory() as folder:
        save_config_for_hf(model, Path(folder) / 'config.json')
        config = json.loads((Path(folder) / 'config.json').read_text())
    return entry(family, size, 'timm', f'timm/{name}', model, config)


def transformers_entry(family, size, name, build, arguments, more):
    with torch.device('meta'):
        model, processor = build(name, *arguments, **more)
    with tempfile.TemporaryDirectory() as folder:
        model.config.to_json_file(Path(folder) / 'config.json', use_diff=True)
        config = json.loads((Path(folder) / 'config.json').read_text())
        for labels in ('id2label', 'label2id'):
            config.pop(labels, None)
        processor.save_pretrained(folder)
        written = json.loads((Path(folder) / 'preprocessor_config.json').read_text())
    return entry(family, size, 'transformers', name, model, config, written)


def main(file):
    networks = [timm_entry(*row) for row in TIMM] + [transformers_entry(*row) for row in transformers_networks()]
    lines = ',\n'.join(json.dumps(network) for network in networks)
    Path(file).write_text(f'[\n{lines}\n]\n')


if __name__ == '__main__':
    main(sys.argv[1])
