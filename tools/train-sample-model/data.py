"""Pictures: tiny-imagenet (training, held-back classes) and folders of photographs (evaluation)."""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

HELD_BACK_CLASSES = 20
HELD_BACK_SEED = 7


def resize_crop(image: Image.Image, size: int, crop_pct: float = 1.0) -> np.ndarray:
    """The product's preprocessing: short side to `round(size / crop_pct)` (bicubic), centre crop. -> [size, size, 3] uint8."""
    image = image.convert("RGB")
    short = round(size / crop_pct)
    scale = short / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def tiny_imagenet(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """-> pictures [n, 64, 64, 3] uint8, labels [n] int64, class names (sorted)."""
    pictures, names = [], []
    with tarfile.open(path) as archive:
        for member in sorted((m for m in archive if m.isfile()), key=lambda m: m.name):
            if not member.name.lower().endswith((".jpg", ".jpeg", ".png")):
                continue
            picture = Image.open(io.BytesIO(archive.extractfile(member).read())).convert("RGB")
            pictures.append(np.asarray(picture))
            names.append(next(part for part in member.name.split("/") if part.startswith("n0") or part.startswith("n1")).split("_")[0])
    classes = sorted(set(names))
    return np.stack(pictures), np.array([classes.index(name) for name in names]), classes


def held_back(classes: list[str]) -> np.ndarray:
    """Indices of the classes that training never sees."""
    return np.sort(np.random.default_rng(HELD_BACK_SEED).permutation(len(classes))[:HELD_BACK_CLASSES])


def resized(pictures: np.ndarray, size: int) -> np.ndarray:
    """[n, 64, 64, 3] -> [n, size, size, 3] uint8, bicubic."""
    return np.stack([resize_crop(Image.fromarray(picture), size) for picture in pictures])


def photographs(folder: Path, size: int, crop_pct: float) -> tuple[np.ndarray, np.ndarray]:
    """A folder with one folder a class -> [n, size, size, 3] uint8, labels [n]."""
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    pictures, labels = [], []
    for label, name in enumerate(classes):
        for file in sorted((folder / name).iterdir()):
            pictures.append(resize_crop(Image.open(file), size, crop_pct))
            labels.append(label)
    return np.stack(pictures), np.array(labels)
