"""What the student learns to say: the teachers' [CLS] embeddings and patch tokens of every training picture."""

import json
from pathlib import Path

import numpy as np
import torch

from data import resized
from vit import normalise, teacher

NAMES = ("vit_tiny_patch16_224.augreg_in21k_ft_in1k", "deit_tiny_patch16_224.fb_in1k")
# 64-pixel pictures hold no more detail than this; half the cost of 224.
IMAGE = 160
GRID = IMAGE // 16


@torch.no_grad()
def embed(folder: Path, pictures: np.ndarray, image: int, batch: int = 50, grid: bool = False):
    """-> [CLS] [n, 192] float32, and with `grid` the patch tokens [n, side, side, 192] float16."""
    config = json.loads((folder / "config.json").read_text())["pretrained_cfg"]
    model = teacher(folder, image)
    cls, tokens = [], []
    for start in range(0, len(pictures), batch):
        part = pictures[start : start + batch]
        part = part if part.shape[1] == image else resized(part, image)
        out = model(normalise(part, config["mean"], config["std"]))
        cls.append(out[:, 0].numpy())
        if grid:
            tokens.append(out[:, 1:].reshape(len(part), image // 16, image // 16, -1).half().numpy())
    return (np.concatenate(cls), np.concatenate(tokens)) if grid else np.concatenate(cls)


def targets(models: Path, pictures: np.ndarray, cache: Path, log) -> dict[str, np.ndarray]:
    """Targets of all pictures, computed once and kept under `cache` in pieces, so that an interruption costs little."""
    cache.mkdir(parents=True, exist_ok=True)
    pieces = {f"{kind}{index}": [] for index in range(2) for kind in ("cls", "grid")}
    step = 1000
    for start in range(0, len(pictures), step):
        file = cache / f"targets-{start:06d}.npz"
        if not file.exists():
            piece = {}
            for index, name in enumerate(NAMES):
                # Patch tokens of one teacher are enough: they are there for dense gradients, not for agreement.
                if index == 0:
                    piece["cls0"], piece["grid0"] = embed(models / name, pictures[start : start + step], IMAGE, grid=True)
                else:
                    piece["cls1"] = embed(models / name, pictures[start : start + step], IMAGE)
            temporary = file.with_suffix(".tmp.npz")
            np.savez(temporary, **piece)
            temporary.rename(file)
            log(f"targets {start + step}/{len(pictures)}")
        for key, value in np.load(file).items():
            pieces[key].append(value)
    return {key: np.concatenate(value) for key, value in pieces.items() if value}
