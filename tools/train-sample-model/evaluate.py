"""k-NN of the sample model beside its teachers and beside the same network untrained: the figures of the model card.

    python3 evaluate.py --data ../../../shared/data --model ../../assets/sample-model
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from data import held_back, photographs, resized, tiny_imagenet
from teachers import NAMES
from vit import Shape, VisionTransformer, normalise, read_safetensors, teacher

NEIGHBOURS = 20
GALLERY_PER_CLASS = 100  # of the 150 pictures of a held-back class; the other 50 are queries


def knn(gallery: np.ndarray, gallery_labels: np.ndarray, queries: np.ndarray, labels: np.ndarray) -> float:
    """Top-1 of the majority among the nearest by cosine; ties go to the smaller label."""
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
    nearest = np.argsort(-(unit(queries) @ unit(gallery).T), 1, kind="stable")[:, :NEIGHBOURS]
    voted = [np.bincount(gallery_labels[row]).argmax() for row in nearest]
    return float(np.mean(np.array(voted) == labels))


@torch.no_grad()
def embed(model: VisionTransformer, pictures: np.ndarray, mean, std, device: str = "cpu", batch: int = 64) -> np.ndarray:
    parts = [normalise(pictures[i : i + batch], mean, std).to(device) for i in range(0, len(pictures), batch)]
    return np.concatenate([model(part)[:, 0].cpu().numpy() for part in parts])


class Evaluation:
    """The two k-NN figures of a network whose pictures have a given size."""

    def __init__(self, images: Path, tiny: tuple[np.ndarray, np.ndarray, list[str]], size: int, crop_pct: float):
        pictures, labels, classes = tiny
        chosen = np.isin(labels, held_back(classes))
        pictures, self.labels = resized(pictures[chosen], size), labels[chosen]
        self.pictures = pictures
        rank = np.concatenate([np.arange(count) for count in np.bincount(self.labels) if count])
        self.in_gallery = rank < GALLERY_PER_CLASS
        self.sides = [photographs(images / "clothing" / part, size, crop_pct) for part in ("train", "test")]

    def __call__(self, model: VisionTransformer, mean, std, device: str = "cpu") -> dict[str, float]:
        (gallery, gallery_labels), (queries, query_labels) = [(embed(model, side, mean, std, device), y) for side, y in self.sides]
        tiny, seen = embed(model, self.pictures, mean, std, device), self.in_gallery
        unseen = knn(tiny[seen], self.labels[seen], tiny[~seen], self.labels[~seen])
        return {"clothing": round(knn(gallery, gallery_labels, queries, query_labels), 4), "tiny_imagenet_held_back": round(unseen, 4)}


def shape_of(config: dict) -> Shape:
    """What `export.py` wrote."""
    args = config["model_args"]
    return Shape(args["img_size"], args["patch_size"], args["embed_dim"], args["depth"], args["num_heads"], 4 * args["embed_dim"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--student-only", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(0)
    shape = shape_of(json.loads((args.model / "config.json").read_text()))
    untrained = VisionTransformer(shape)
    untrained.initialise()
    sample = VisionTransformer(shape)
    sample.load_state_dict(read_safetensors(args.model / "model.safetensors"))
    half = [0.5] * 3
    contestants = {"sample": (sample, shape.image, 1.0, half, half), "untrained": (untrained, shape.image, 1.0, half, half)}
    if not args.student_only:
        for name in NAMES:
            config = json.loads((args.data / "models" / name / "config.json").read_text())["pretrained_cfg"]
            contestants[name] = (teacher(args.data / "models" / name, 224), 224, config["crop_pct"], config["mean"], config["std"])
    tiny = tiny_imagenet(args.data / "images" / "tiny-imagenet-train.tar")
    for name, (model, size, crop_pct, mean, std) in contestants.items():
        figures = Evaluation(args.data / "images", tiny, size, crop_pct)(model.eval(), mean, std)
        print(json.dumps({"model": name, **figures}), flush=True)


if __name__ == "__main__":
    main()
