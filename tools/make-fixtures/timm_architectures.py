"""What timm's code decides about its Vision Transformers and its config.json does not say.

Usage: timm_architectures.py FILE
"""

import json
import sys

import timm
import torch

ACTIVATIONS = {'GELU': 'gelu', 'GELUTanh': 'gelu-tanh', 'QuickGELU': 'quick-gelu', 'SiLU': 'silu'}


def architectures():
    for module in ('vision_transformer', 'deit'):
        yield from timm.list_models(module=module)
    yield from timm.list_models('vit_*dinov3*')


def main(file):
    rows = {}
    for name in architectures():
        with torch.device('meta'):
            model = timm.create_model(name)
        block = model.blocks[0]
        # Others compute something else (parallel branches, RMSNorm, norms after the branches) or are for timm's own tests.
        if type(block).__name__ not in ('Block', 'EvaBlock') or type(block.norm1).__name__ != 'LayerNorm':
            continue
        if name.startswith(('test_', 'beit3_')):
            continue
        rows[name] = {
            'width': model.embed_dim,
            'heads': block.attn.num_heads,
            'gated': type(block.mlp).__name__ != 'Mlp',
            'activation': ACTIVATIONS[type(block.mlp.act).__name__],
            'layerNormEps': block.norm1.eps,
        }
    lines = [f'  {json.dumps(name)}: {json.dumps(row)}' for name, row in sorted(rows.items())]
    with open(file, 'w') as out:
        out.write('{\n' + ',\n'.join(lines) + '\n}\n')


if __name__ == '__main__':
    main(sys.argv[1])
