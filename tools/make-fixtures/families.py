"""Tiny random-weight networks of every family, saved by timm and transformers, with their float64 embeddings.

Usage: families.py FOLDER [NAME ...]: all of them, or those of the given names
"""

import copy
import json
import shutil
import sys
import zlib
from pathlib import Path

import numpy as np
import safetensors.torch
import timm
import torch
import transformers
from timm.models import save_for_hf

WIDTH, HEADS, DEPTH, IMAGE, PATCH, CLASSES = 16, 2, 2, 16, 4, 5
HEAD_DIM = WIDTH // HEADS
REMOVED_HEADS = [[1], [0]]
REMOVED_CHANNELS = [[0, 5, 6, 11], [3, 20]]
IMAGES = 2
RESIZED = 24
WANTED = set(sys.argv[2:])


def pixels(size):
    """[IMAGES, 3, size, size]: exact fractions, so that a test can write them down too."""
    count = IMAGES * 3 * size * size
    values = (np.arange(count, dtype=np.int64) * 7919 % 1009) / 504.5 - 1
    return torch.from_numpy(values).reshape(IMAGES, 3, size, size)


def randomise(model, name, dtype):
    """Weights that all matter, rounded to the type that they are stored in."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            last = key.split('.')[-1]
            if 'norm' in key and last == 'weight':
                value = 1 + 0.2 * noise
            elif last.startswith(('gamma', 'lambda')):
                value = 0.6 + 0.3 * noise
            elif parameter.ndim >= 2 and last.endswith('weight') and 'position' not in key:
                value = noise * 1.3 / parameter[0].numel() ** 0.5
            else:
                value = 0.3 * noise
            parameter.copy_(value.to(dtype).float())
    return model.eval()


def remove_units(layers):
    """Zeroes the columns of the output projections that read the removed heads and channels."""
    with torch.no_grad():
        for (proj, fc2), heads, channels in zip(layers, REMOVED_HEADS, REMOVED_CHANNELS):
            for head in heads:
                proj.weight[:, head * HEAD_DIM : (head + 1) * HEAD_DIM] = 0
            fc2.weight[:, channels] = 0


def rounded(embedding):
    return [[float(f'{value:.9g}') for value in row] for row in embedding.tolist()]


def finish(folder, model, layers, embed, size, extra, resized=None):
    """Writes expected.json: the model is not fit for use afterwards. resized: the same network for inputs of RESIZED, and its embed."""
    model.double()
    if resized:
        network, embed_resized = resized(copy.deepcopy(model))
        with torch.no_grad():
            extra = {**extra, 'resized': {'imageSize': RESIZED, 'embedding': rounded(embed_resized(network, pixels(RESIZED)))}}
    with torch.no_grad():
        whole = embed(model, pixels(size))
        remove_units(layers(model))
        pruned = embed(model, pixels(size))
    expected = {
        'reference': f'torch {torch.__version__}, timm {timm.__version__}, transformers {transformers.__version__}',
        **extra,
        'embedding': rounded(whole),
        'removed': {'heads': REMOVED_HEADS, 'channels': REMOVED_CHANNELS},
        'pruned': rounded(pruned),
    }
    (folder / 'expected.json').write_text(json.dumps(expected) + '\n')


def timm_case(root, name, architecture, dtype=torch.float16, size=IMAGE, twice=False, **arguments):
    if WANTED and f'timm-{name}' not in WANTED:
        return
    arguments = {'img_size': IMAGE, 'patch_size': PATCH, 'embed_dim': WIDTH, 'depth': DEPTH, 'num_heads': HEADS, **arguments}
    folder = root / f'timm-{name}'
    model = randomise(timm.create_model(architecture, **arguments), folder.name, dtype)
    config_arguments = {**arguments, 'img_size': size}
    save_for_hf(model, folder, model_args=config_arguments, safe_serialization=True)
    tensors = {key: tensor.to(dtype).contiguous() for key, tensor in model.state_dict().items()}
    safetensors.torch.save_file(tensors, folder / 'model.safetensors')
    if size != IMAGE:
        model.set_input_size(img_size=(size, size))

    def layers(m):
        return [(block.attn.proj, block.mlp.fc2) for block in m.blocks]

    def embed(m, x):
        return m.forward_head(m.forward_features(x), pre_logits=True)

    extra = {'imageSize': size}
    if model.num_classes > 0 and not hasattr(model, 'head_dist'):
        with torch.no_grad():
            extra['logits'] = rounded(model.double()(pixels(size)))
    def resized(network):
        network.set_input_size(img_size=(RESIZED, RESIZED))
        return network, embed

    finish(folder, model, layers, embed, size, extra, resized if twice else None)


def timm_cases(root):
    timm_case(root, 'augreg', 'vit_tiny_patch16_224', num_classes=CLASSES, mlp_ratio=2)
    timm_case(root, 'augreg-resized', 'vit_tiny_patch16_224', num_classes=0, mlp_ratio=2, size=12)
    timm_case(root, 'deit-distilled', 'deit_tiny_distilled_patch16_224', num_classes=CLASSES, mlp_ratio=2)
    timm_case(root, 'deit3', 'deit3_small_patch16_224', num_classes=CLASSES, mlp_ratio=2, dtype=torch.float32)
    timm_case(root, 'dino', 'vit_small_patch16_224.dino', num_classes=0, mlp_ratio=2)
    timm_case(root, 'dinov2', 'vit_small_patch14_dinov2', num_classes=0, mlp_ratio=2)
    timm_case(root, 'dinov2-registers', 'vit_small_patch14_reg4_dinov2', num_classes=0, mlp_ratio=2)
    timm_case(root, 'dinov2-swiglu', 'vit_giant_patch14_dinov2', num_classes=0, mlp_ratio=4)
    timm_case(root, 'dinov2-registers-swiglu', 'vit_giant_patch14_reg4_dinov2', num_classes=0, mlp_ratio=4)
    timm_case(root, 'dinov3', 'vit_base_patch16_dinov3', num_classes=0, mlp_ratio=2, dtype=torch.bfloat16)
    timm_case(root, 'dinov3-cls', 'vit_base_patch16_dinov3', num_classes=0, mlp_ratio=2, global_pool='token')
    timm_case(root, 'dinov3-qkv-bias', 'vit_base_patch16_dinov3_qkvb', num_classes=0, mlp_ratio=2)
    timm_case(root, 'dinov3-swiglu', 'vit_huge_plus_patch16_dinov3', num_classes=0)
    timm_case(root, 'siglip', 'vit_base_patch16_siglip_224', num_classes=0, mlp_ratio=2)
    timm_case(root, 'siglip2-tanh', 'vit_so400m_patch16_siglip_256.v2_webli', num_classes=0, mlp_ratio=2)
    timm_case(root, 'siglip-mean', 'vit_base_patch16_siglip_gap_224', num_classes=0, mlp_ratio=2)
    timm_case(root, 'clip-quickgelu', 'vit_base_patch16_clip_quickgelu_224', num_classes=0, mlp_ratio=2)
    timm_case(root, 'rope', 'vit_small_patch16_rope_224', num_classes=0, mlp_ratio=2, twice=True)
    timm_case(root, 'rope-ape', 'vit_small_patch16_rope_ape_224', num_classes=CLASSES, mlp_ratio=2, twice=True)
    timm_case(root, 'pe-core', 'vit_pe_core_base_patch16_224', num_classes=0, mlp_ratio=2, twice=True)
    timm_case(root, 'pe-lang', 'vit_pe_lang_large_patch14_448', num_classes=0, mlp_ratio=2, twice=True)
    timm_case(root, 'pe-spatial', 'vit_pe_spatial_tiny_patch16_512', num_classes=0, mlp_ratio=2, twice=True)
    timm_case(root, 'eva', 'eva_large_patch14_196', num_classes=CLASSES, mlp_ratio=2, twice=True)
    timm_case(root, 'eva02', 'eva02_tiny_patch14_224', num_classes=0, twice=True)
    timm_case(root, 'map-registers', 'vit_base_patch16_siglip_224', num_classes=0, mlp_ratio=2, reg_tokens=3, twice=True)
    timm_case(root, 'mean-of-all', 'vit_tiny_patch16_224', num_classes=0, mlp_ratio=2, global_pool='avg',
              pool_include_prefix=True, twice=True)


def transformers_case(root, name, model, layers, embed, processor, dtype=torch.float16, size=IMAGE, extra=None,
                      resized=None):
    if WANTED and f'transformers-{name}' not in WANTED:
        return
    folder = root / f'transformers-{name}'
    randomise(model, folder.name, dtype)
    # A copy: buffers of the model itself (rotary frequencies) stay exact, as they are when such a file is loaded.
    copy.deepcopy(model).to(dtype).save_pretrained(folder)
    processor.save_pretrained(folder)
    again = (lambda network: (network, resized)) if resized else None
    finish(folder, model, layers, embed, size, {'imageSize': size, **(extra or {})}, again)


def transformers_cases(root):
    t = transformers
    common = {
        'hidden_size': WIDTH,
        'num_hidden_layers': DEPTH,
        'num_attention_heads': HEADS,
        'intermediate_size': 2 * WIDTH,
        'image_size': IMAGE,
        'patch_size': PATCH,
        'attn_implementation': 'eager',
    }
    dinov2 = {key: value for key, value in common.items() if key != 'intermediate_size'} | {'mlp_ratio': 2}
    square = {'height': IMAGE, 'width': IMAGE}
    cropped = {'size': {'shortest_edge': 20}, 'crop_size': square}

    def vit_layers(encoder):
        return [(layer.attention.output.dense, layer.output.dense) for layer in encoder.layer]

    def dinov2_layers(encoder, out):
        return [(layer.attention.output.dense, getattr(layer.mlp, out)) for layer in encoder.layer]

    def encoder_layers(encoder):
        return [(layer.self_attn.out_proj, layer.mlp.fc2) for layer in encoder.layers]

    transformers_case(
        root, 'vit', t.ViTForImageClassification(t.ViTConfig(**common, num_labels=CLASSES)),
        lambda m: vit_layers(m.vit.encoder),
        lambda m, x: m.vit(x).last_hidden_state[:, 0],
        t.ViTImageProcessor(size=square),
    )
    transformers_case(
        root, 'dino-resized', t.ViTModel(t.ViTConfig(**common), add_pooling_layer=False),
        lambda m: vit_layers(m.encoder),
        lambda m, x: m(x, interpolate_pos_encoding=True).last_hidden_state[:, 0],
        t.ViTImageProcessor(size={'height': 24, 'width': 24}), size=24,
    )
    transformers_case(
        root, 'deit-distilled', t.DeiTForImageClassificationWithTeacher(t.DeiTConfig(**common, num_labels=CLASSES)),
        lambda m: vit_layers(m.deit.encoder),
        lambda m, x: m.deit(x).last_hidden_state[:, :2].mean(1),
        t.DeiTImageProcessor(size={'height': 18, 'width': 18}, crop_size=square),
    )
    transformers_case(
        root, 'dinov2', t.Dinov2Model(t.Dinov2Config(**dinov2)),
        lambda m: dinov2_layers(m.encoder, 'fc2'),
        lambda m, x: m(x).pooler_output,
        t.BitImageProcessor(**cropped),
    )
    transformers_case(
        root, 'dinov2-resized', t.Dinov2Model(t.Dinov2Config(**(dinov2 | {'image_size': 28}))),
        lambda m: dinov2_layers(m.encoder, 'fc2'),
        lambda m, x: m(x).pooler_output,
        t.BitImageProcessor(**cropped),
    )
    transformers_case(
        root, 'dinov2-registers', t.Dinov2WithRegistersModel(t.Dinov2WithRegistersConfig(**dinov2, num_register_tokens=4)),
        lambda m: dinov2_layers(m.encoder, 'fc2'),
        lambda m, x: m(x).pooler_output,
        t.BitImageProcessor(**cropped),
    )
    larger = t.Dinov2WithRegistersConfig(**(dinov2 | {'image_size': 40}), num_register_tokens=4)
    transformers_case(
        root, 'dinov2-registers-shrunk', t.Dinov2WithRegistersModel(larger),
        lambda m: dinov2_layers(m.encoder, 'fc2'),
        lambda m, x: m(x).pooler_output,
        t.BitImageProcessor(**cropped),
        resized=lambda m, x: m(x).pooler_output,
    )
    transformers_case(
        root, 'dinov2-swiglu', t.Dinov2Model(t.Dinov2Config(**dinov2, use_swiglu_ffn=True)),
        lambda m: dinov2_layers(m.encoder, 'weights_out'),
        lambda m, x: m(x).pooler_output,
        t.BitImageProcessor(**cropped),
    )
    registers = t.Dinov2WithRegistersConfig(**dinov2, num_register_tokens=4, use_swiglu_ffn=True)
    transformers_case(
        root, 'dinov2-registers-swiglu', t.Dinov2WithRegistersModel(registers),
        lambda m: dinov2_layers(m.encoder, 'weights_out'),
        lambda m, x: m(x).pooler_output,
        t.BitImageProcessor(**cropped),
    )

    def dinov3(name, **arguments):
        config = t.DINOv3ViTConfig(**common, num_register_tokens=4, **arguments)
        transformers_case(
            root, name, t.DINOv3ViTModel(config),
            lambda m: [(layer.attention.o_proj, layer.mlp.down_proj) for layer in m.layer],
            lambda m, x: m(x).pooler_output,
            t.DINOv3ViTImageProcessorFast(size=square), dtype=torch.bfloat16,
        )

    dinov3('dinov3')
    dinov3('dinov3-swiglu', use_gated_mlp=True, hidden_act='silu')

    text = {'vocab_size': 7, 'hidden_size': 8, 'intermediate_size': 8, 'num_hidden_layers': 1, 'num_attention_heads': 1,
            'max_position_embeddings': 4, 'bos_token_id': 0, 'eos_token_id': 1, 'pad_token_id': 1}
    vision = {key: value for key, value in common.items() if key != 'attn_implementation'}
    transformers_case(
        root, 'siglip2', t.SiglipModel(t.SiglipConfig(text_config=text, vision_config=vision, attn_implementation='eager')),
        lambda m: encoder_layers(m.vision_model.encoder),
        lambda m, x: m.get_image_features(x),
        t.SiglipImageProcessor(size=square, resample=2),
    )
    transformers_case(
        root, 'siglip-vision', t.SiglipVisionModel(t.SiglipVisionConfig(**common)),
        lambda m: encoder_layers(m.vision_model.encoder),
        lambda m, x: m(x).pooler_output,
        t.SiglipImageProcessor(size=square),
    )
    transformers_case(
        root, 'clip', t.CLIPModel(t.CLIPConfig(text_config=text, vision_config=vision, projection_dim=20, attn_implementation='eager')),
        lambda m: encoder_layers(m.vision_model.encoder),
        lambda m, x: m.get_image_features(x),
        t.CLIPImageProcessor(size={'shortest_edge': IMAGE}, crop_size=square),
    )
    transformers_case(
        root, 'clip-vision', t.CLIPVisionModel(t.CLIPVisionConfig(**common)),
        lambda m: encoder_layers(m.vision_model.encoder),
        lambda m, x: m(x).pooler_output,
        t.CLIPImageProcessor(size={'shortest_edge': IMAGE}, crop_size=square),
    )


def more_transformers_cases(root):
    """The encoder of ViT under other names, and MetaCLIP 2."""
    t = transformers
    common = {
        'hidden_size': WIDTH, 'num_hidden_layers': DEPTH, 'num_attention_heads': HEADS, 'intermediate_size': 2 * WIDTH,
        'image_size': IMAGE, 'patch_size': PATCH,
    }
    square = {'height': IMAGE, 'width': IMAGE}
    processor = t.ViTImageProcessor(size=square, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])

    def vit_layers(m):
        return [(layer.attention.output.dense, layer.output.dense) for layer in m.encoder.layer]

    def first(m, x):
        return m(x, interpolate_pos_encoding=True).last_hidden_state[:, 0]

    def mean(m, x):
        return m(x, interpolate_pos_encoding=True).last_hidden_state.mean(1)

    transformers_case(
        root, 'vit-msn', t.ViTMSNModel(t.ViTMSNConfig(**common, attn_implementation='eager')), vit_layers, first, processor, resized=first)
    transformers_case(
        root, 'ijepa', t.IJepaModel(t.IJepaConfig(**common, attn_implementation='eager')), vit_layers, mean, processor, resized=mean)

    def unmasked(m, x):
        m.config.mask_ratio = 0
        return first(m, x)

    transformers_case(
        root, 'vit-mae', t.ViTMAEForPreTraining(t.ViTMAEConfig(
            **common, decoder_hidden_size=8, decoder_num_hidden_layers=1, decoder_num_attention_heads=1,
            decoder_intermediate_size=8, attn_implementation='eager')),
        lambda m: vit_layers(m.vit), lambda m, x: unmasked(m.vit, x), processor, resized=lambda m, x: unmasked(m.vit, x))

    text = {'vocab_size': 7, 'hidden_size': 8, 'intermediate_size': 8, 'num_hidden_layers': 1, 'num_attention_heads': 1,
            'max_position_embeddings': 4, 'bos_token_id': 0, 'eos_token_id': 1, 'pad_token_id': 1}

    def features(m, x):
        return m.get_image_features(x, interpolate_pos_encoding=True)

    transformers_case(
        root, 'metaclip-2',
        t.MetaClip2Model(t.MetaClip2Config(text_config=text, vision_config=common, projection_dim=20, attn_implementation='eager')),
        lambda m: [(layer.self_attn.out_proj, layer.mlp.fc2) for layer in m.vision_model.encoder.layers],
        features, t.CLIPImageProcessor(size={'shortest_edge': IMAGE}, crop_size=square), resized=features)


if __name__ == '__main__':
    target = Path(sys.argv[1])
    if not WANTED:
        shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    timm_cases(target)
    transformers_cases(target)
    more_transformers_cases(target)
