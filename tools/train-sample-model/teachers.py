"""The two teachers, asked about every view of a picture: their [CLS] embeddings and their patch tokens, standardised."""

import json
from pathlib import Path

import torch
import torch.nn.functional as F

from vit import SAMPLE, teacher

NAMES = ("vit_tiny_patch16_224.augreg_in21k_ft_in1k", "deit_tiny_patch16_224.fb_in1k")
# Of 64-pixel pictures the teachers together say nearly as much at 160 pixels as at 224, at half the cost, and much less below: k-NN
# on the held-back classes 0.882 at 224, 0.890 at 192, 0.876 at 160, 0.830 at 128.
IMAGE = 160


class Teachers:
    """Without standardised targets the mean embedding, which says nothing about a picture, would dominate a cosine."""

    def __init__(self, folder: Path, device: str, compiled: bool):
        self.models, self.inputs, self.scales = [], [], []
        for name in NAMES:
            config = json.loads((folder / name / "config.json").read_text())["pretrained_cfg"]
            model = teacher(folder / name, IMAGE).to(device).requires_grad_(False)
            if compiled:
                model.compile_blocks()
            self.models.append(model)
            self.inputs.append([torch.tensor(config[key], device=device).view(1, 3, 1, 1) for key in ("mean", "std")])

    @torch.no_grad()
    def tokens(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """[n, 3, IMAGE, IMAGE] in 0 to 1 -> a teacher's tokens [n, 1 + patches, 192] each."""
        with torch.autocast("cuda", torch.bfloat16, enabled=pictures.is_cuda):
            return [model((pictures - mean) / std).float() for model, (mean, std) in zip(self.models, self.inputs)]

    def standardise(self, batches: list[torch.Tensor]) -> None:
        """Means and deviations of [CLS] and of the patches, and the joint space, from views that training will see."""
        both = [self.tokens(batch) for batch in batches]
        embeddings = []
        for out in (torch.cat(part) for part in zip(*both)):
            cls, patches = out[:, 0], out[:, 1:].flatten(0, 1)
            self.scales.append([(part.mean(0), part.std(0)) for part in (cls, patches)])
            embeddings.append((cls - cls.mean(0)) / cls.std(0))
        joined = self.joined(embeddings)
        self.centre = joined.mean(0)
        axes = torch.linalg.svd(joined - self.centre, full_matrices=False)[2]
        self.axes = axes[: SAMPLE.width].T.contiguous()

    def joined(self, embeddings: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat([F.normalize(embedding, dim=1) for embedding in embeddings], 1)

    def joint(self, embeddings: list[torch.Tensor]) -> torch.Tensor:
        """Both teachers' standardised [CLS], side by side, along the principal axes of it that fit the student: [n, width]."""
        return (self.joined(embeddings) - self.centre) @ self.axes

    def __call__(self, pictures: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """-> [CLS] [n, 192] and patches at the student's grid [n, side * side, 192], one of each a teacher."""
        embeddings, grids = [], []
        for out, (cls, patches) in zip(self.tokens(pictures), self.scales):
            embeddings.append((out[:, 0] - cls[0]) / cls[1])
            grid = (out[:, 1:] - patches[0]) / patches[1]
            side = IMAGE // 16
            if side != SAMPLE.side:
                grid = grid.transpose(1, 2).unflatten(2, (side, side))
                grid = F.interpolate(grid, (SAMPLE.side, SAMPLE.side), mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)
            grids.append(grid)
        return embeddings, grids
