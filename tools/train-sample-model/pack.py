"""The data that training and evaluation read, small enough (some 57 MB) to be taken to a machine with a GPU.

    python3 pack.py --data ../../../shared/data --out data.tar.xz
    tar xJf data.tar.xz; python3 train.py --data data ...

Training pictures are as they are; matrices of the teachers are rounded to bfloat16, in which a GPU multiplies them anyway; the
photographs that `evaluate.py` measures on are as small as the sample model reads them, so that its figures for the teachers
come from the whole data alone.
"""

import argparse
import io
import tarfile
import tempfile
from pathlib import Path

import torch
from PIL import Image

from data import resize_crop
from teachers import NAMES
from vit import SAMPLE, read_safetensors, write_safetensors


def rounded(name: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor.bfloat16().float() if tensor.ndim >= 2 and name != "pos_embed" else tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with models/ and images/")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    with tarfile.open(args.out, "w:xz", preset=9) as packed, tempfile.TemporaryDirectory() as scratch:

        def put(name: str, data: bytes) -> None:
            entry = tarfile.TarInfo(f"data/{name}")
            entry.size = len(data)
            packed.addfile(entry, io.BytesIO(data))

        for name in NAMES:
            folder = args.data / "models" / name
            tensors = {key: tensor for key, tensor in read_safetensors(folder / "model.safetensors").items() if not key.startswith("head")}
            weights = Path(scratch) / "model.safetensors"
            write_safetensors(weights, {key: rounded(key, tensor).numpy() for key, tensor in tensors.items()})
            put(f"models/{name}/model.safetensors", weights.read_bytes())
            put(f"models/{name}/config.json", (folder / "config.json").read_bytes())
        images = args.data / "images"
        put("images/tiny-imagenet-train.tar", (images / "tiny-imagenet-train.tar").read_bytes())
        for file in sorted(path for path in (images / "clothing").rglob("*") if path.is_file()):
            small = io.BytesIO()
            Image.fromarray(resize_crop(Image.open(file), SAMPLE.image)).save(small, "JPEG", quality=92, subsampling=0)
            put(str(file.relative_to(args.data).with_suffix(".jpg")), small.getvalue())


if __name__ == "__main__":
    main()
