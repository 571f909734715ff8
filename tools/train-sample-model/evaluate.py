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
from vit import SAMPLE, VisionTransformer, normalise, read_safetensors, teacher

NEIGHBOURS = 20
GALLERY_PER_CLASS = 100  # of the 150 pictures of a held-back class; the other 50 are queries


def knn(gallery: np.ndarray, gallery_labels: np.ndarray, queries: np.ndarray, labels: np.ndarray) -> float:
    """Top-1 of the majority among the nearest by cosine; ties go to the smaller label."""
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
    nearest = np.argsort(-(unit(queries) @ unit(gallery).T), 1, kind="stable")[:, :NEIGHBOURS]
    voted = [np.bincount(gallery_labels[row]).argmax() for row in nearest]
    return float(np.mean(np.array(voted) == labels))


@torch.no_grad()
def embed(model: VisionTransformer, pictures: np.ndarray, mean, std, batch: int = 64) -> np.ndarray:
    return np.concatenate([model(normalise(pictures[i : i + batch], mean, std))[:, 0].numpy() for i in range(0, len(pictures), batch)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--student-only", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(0)
    untrained = VisionTransformer(SAMPLE)
    untrained.initialise()
    sample = VisionTransformer(SAMPLE)
    sample.load_state_dict(read_safetensors(args.model / "model.safetensors"))
    half = [0.5] * 3
    contestants = {"sample": (sample, 72, 1.0, half, half), "untrained": (untrained, 72, 1.0, half, half)}
    if not args.student_only:
        for name in NAMES:
            config = json.loads((args.data / "models" / name / "config.json").read_text())["pretrained_cfg"]
            contestants[name] = (teacher(args.data / "models" / name, 224), 224, config["crop_pct"], config["mean"], config["std"])
    pictures, labels, classes = tiny_imagenet(args.data / "images" / "tiny-imagenet-train.tar")
    chosen = np.isin(labels, held_back(classes))
    pictures, labels = pictures[chosen], labels[chosen]
    rank = np.concatenate([np.arange(count) for count in np.bincount(labels) if count])
    in_gallery = rank < GALLERY_PER_CLASS
    for name, (model, size, crop_pct, mean, std) in contestants.items():
        model.eval()
        sides = [photographs(args.data / "images" / "clothing" / part, size, crop_pct) for part in ("train", "test")]
        (gallery, gallery_labels), (queries, query_labels) = [(embed(model, side, mean, std), y) for side, y in sides]
        clothing = knn(gallery, gallery_labels, queries, query_labels)
        tiny = embed(model, resized(pictures, size), mean, std)
        unseen = knn(tiny[in_gallery], labels[in_gallery], tiny[~in_gallery], labels[~in_gallery])
        print(json.dumps({"model": name, "clothing": round(clothing, 4), "tiny_imagenet_held_back": round(unseen, 4)}), flush=True)


if __name__ == "__main__":
    main()
