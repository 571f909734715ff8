"""Writes the model as the product reads it: `model.safetensors` (fp16, timm names) and `config.json`."""

import json
from pathlib import Path

from vit import SAMPLE, VisionTransformer, write_safetensors

CONFIG = {
    "architecture": "vit_concertina_sample_patch8_64",
    "num_classes": 0,
    "num_features": SAMPLE.width,
    "global_pool": "token",
    "model_args": {
        "img_size": SAMPLE.image,
        "patch_size": SAMPLE.patch,
        "embed_dim": SAMPLE.width,
        "depth": SAMPLE.depth,
        "num_heads": SAMPLE.heads,
    },
    "pretrained_cfg": {
        "tag": "tiny_distilled",
        "input_size": [3, SAMPLE.image, SAMPLE.image],
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "crop_mode": "center",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "num_classes": 0,
        "first_conv": "patch_embed.proj",
        "classifier": "head",
    },
}


def write(model: VisionTransformer, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "model.safetensors", {n: p.detach().cpu().numpy() for n, p in model.state_dict().items()})
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
