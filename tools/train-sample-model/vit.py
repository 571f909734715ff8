"""A plain pre-norm Vision Transformer with timm's tensor names; runs the teachers and is the student."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Shape:
    image: int
    patch: int
    width: int
    depth: int
    heads: int
    channels: int

    @property
    def side(self) -> int:
        return self.image // self.patch


SAMPLE = Shape(image=64, patch=8, width=192, depth=8, heads=6, channels=768)
TINY = Shape(image=224, patch=16, width=192, depth=12, heads=3, channels=768)


class Attention(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.proj = nn.Linear(shape.width, shape.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, d = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d))


class Mlp(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.fc1 = nn.Linear(shape.width, shape.channels)
        self.fc2 = nn.Linear(shape.channels, shape.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.norm1 = nn.LayerNorm(shape.width, eps=1e-6)
        self.attn = Attention(shape)
        self.norm2 = nn.LayerNorm(shape.width, eps=1e-6)
        self.mlp = Mlp(shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.proj = nn.Conv2d(3, shape.width, shape.patch, shape.patch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, 3, s, s] -> [n, patches, width], as one matrix product (faster than a convolution on a CPU)."""
        n, _, s, _ = x.shape
        p = self.proj.kernel_size[0]
        x = x.reshape(n, 3, s // p, p, s // p, p).permute(0, 2, 4, 1, 3, 5).reshape(n, (s // p) ** 2, -1)
        return F.linear(x, self.proj.weight.flatten(1), self.proj.bias)


class VisionTransformer(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.patch_embed = PatchEmbed(shape)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + shape.side**2, shape.width))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(shape.width, eps=1e-6)

    def initialise(self) -> None:
        """Truncated normals of 0.02, zero biases; residual projections scaled down by depth."""
        for name, parameter in self.named_parameters():
            if parameter.ndim >= 2:
                nn.init.trunc_normal_(parameter, std=0.02)
            elif "norm" in name and name.endswith("weight"):
                nn.init.ones_(parameter)
            else:
                nn.init.zeros_(parameter)
        for block in self.blocks:
            for layer in (block.attn.proj, block.mlp.fc2):
                layer.weight.data *= (2 * self.shape.depth) ** -0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, 3, s, s] -> tokens after the final norm [n, 1 + patches, width]."""
        x = self.patch_embed(x) + self.pos_embed[:, 1:]
        x = torch.cat([(self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1), x], 1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def compile_blocks(self) -> None:
        """All blocks share one compiled graph, which takes seconds instead of minutes; names of tensors stay as they are."""
        for block in self.blocks:
            block.compile()


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    types = {"F32": np.float32, "F16": np.float16}
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            array = np.frombuffer(raw[start:end], types[entry["dtype"]]).reshape(entry["shape"])
            tensors[name] = torch.from_numpy(array.astype(np.float32))
    return tensors


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """fp16, sorted by name, no metadata."""
    header, data = {}, []
    offset = 0
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name], np.float16)
        header[name] = {"dtype": "F16", "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        data.append(array.tobytes())
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data))


def teacher(folder: Path, image: int) -> VisionTransformer:
    """A pretrained ViT-Ti/16 for inputs of `image` pixels (the position embedding is interpolated, bicubic)."""
    tensors = read_safetensors(folder / "model.safetensors")
    shape = Shape(image, TINY.patch, TINY.width, TINY.depth, TINY.heads, TINY.channels)
    position = tensors["pos_embed"]
    if image != TINY.image:
        grid = position[:, 1:].reshape(1, TINY.side, TINY.side, -1).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, (shape.side, shape.side), mode="bicubic", align_corners=False)
        tensors["pos_embed"] = torch.cat([position[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2)], 1)
    model = VisionTransformer(shape)
    model.load_state_dict({name: value for name, value in tensors.items() if not name.startswith("head")})
    return model.eval()


def normalise(pictures: np.ndarray, mean: list[float], std: list[float]) -> torch.Tensor:
    """[n, s, s, 3] uint8 -> [n, 3, s, s] float32."""
    x = torch.from_numpy(np.ascontiguousarray(pictures)).float().div_(255)
    return ((x - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2).contiguous()
