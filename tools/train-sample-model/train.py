"""Trains the sample model: a small ViT learns to say what two pretrained teachers say.

    python3 train.py --data ../../../shared/data --out ../../assets/sample-model

Resumes from `--work` when it was interrupted. Seeded; the figures of the model card come from `evaluate.py`.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import export
from data import held_back, resized, tiny_imagenet
from muon import Muon
from teachers import GRID, targets
from vit import SAMPLE, VisionTransformer

MEAN = STD = 0.5


class Student(nn.Module):
    """The network that is kept, and the linear maps that exist only while it learns."""

    def __init__(self, classes: int):
        super().__init__()
        self.vit = VisionTransformer(SAMPLE)
        self.vit.initialise()
        self.to_cls = nn.ModuleList(nn.Linear(SAMPLE.width, 192) for _ in range(2))
        self.to_grid = nn.Linear(SAMPLE.width, 192)
        self.to_class = nn.Linear(SAMPLE.width, classes)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with models/ and images/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work"), help="teacher targets and the state of the run")
    parser.add_argument("--epochs", type=float, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are cores")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--until", type=float, default=0, help="stop at this time (seconds since 1970), finishing the schedule")
    return parser.parse_args()


def augment(pictures: torch.Tensor, grid: torch.Tensor, generator: torch.Generator):
    """Random crop (area 0.5 to 1), flip and colour; the teacher's grid is cropped and flipped alike.

    pictures [n, 3, 72, 72] in [-1, 1], grid [n, 192, GRID, GRID] -> the same shapes, the grid at the student's 6 x 6.
    """
    n = len(pictures)
    rand = lambda *shape: torch.rand(*shape, generator=generator)
    area = 0.5 + 0.5 * rand(n)
    aspect = torch.exp((rand(n) - 0.5) * 0.4)
    w, h = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = w * torch.where(rand(n) < 0.5, -1.0, 1.0)
    theta[:, 1, 1] = h
    theta[:, 0, 2] = (1 - w) * (2 * rand(n) - 1)
    theta[:, 1, 2] = (1 - h) * (2 * rand(n) - 1)
    theta = theta.to(pictures.device)
    size, side = SAMPLE.image, SAMPLE.side
    pictures = F.grid_sample(pictures, F.affine_grid(theta, [n, 3, size, size], False), "bilinear", "reflection", False)
    grid = F.grid_sample(grid, F.affine_grid(theta, [n, 192, side, side], False), "bilinear", "border", False)
    gain, offset = 1 + 0.4 * (rand(n, 1, 1, 1) - 0.5), 0.3 * (rand(n, 3, 1, 1) - 0.5)
    grey = pictures.mean(1, keepdim=True)
    saturation = (0.6 + 0.8 * rand(n, 1, 1, 1)).to(pictures.device)
    pictures = grey + (pictures - grey) * saturation
    return (pictures * gain.to(pictures.device) + offset.to(pictures.device)).clamp(-1.2, 1.2), grid


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return F.cosine_similarity(a.float(), b.float(), dim=-1).mean()


def main() -> None:
    args = parse()
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    log = lambda line: print(time.strftime("%H:%M:%S"), line, flush=True)

    pictures, labels, classes = tiny_imagenet(args.data / "images" / "tiny-imagenet-train.tar")
    kept = ~np.isin(labels, held_back(classes))
    pictures, labels = pictures[kept], np.unique(labels[kept], return_inverse=True)[1]
    wanted = targets(args.data / "models", pictures, args.work / "targets", log)
    pictures = torch.from_numpy(resized(pictures, SAMPLE.image)).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(labels)
    # Standardised targets: without it the mean embedding, which says nothing about a picture, dominates the cosine.
    cls = [torch.from_numpy((wanted[f"cls{i}"] - wanted[f"cls{i}"].mean(0)) / wanted[f"cls{i}"].std(0)) for i in range(2)]
    sample = wanted["grid0"][::10].reshape(-1, 192).astype(np.float32)
    grid_mean, grid_std = (torch.from_numpy(value).view(1, 192, 1, 1) for value in (sample.mean(0), sample.std(0)))
    grids = torch.from_numpy(wanted["grid0"])

    student = Student(int(labels.max()) + 1).to(args.device)
    average = Student(int(labels.max()) + 1).to(args.device)
    average.load_state_dict(student.state_dict())
    matrices = [p for n, p in student.vit.blocks.named_parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    rest = [p for p in student.parameters() if id(p) not in chosen]
    decayed, plain = [p for p in rest if p.ndim >= 2], [p for p in rest if p.ndim < 2]
    optimisers = [
        Muon(matrices, lr=0.02, momentum=0.95, weight_decay=0.02),
        torch.optim.AdamW([{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0}], lr=2e-3, betas=(0.9, 0.98)),
    ]
    peaks = [0.02, 2e-3]
    per_epoch = len(pictures) // args.batch
    total = int(args.epochs * per_epoch)
    progress, step, history = 0.0, 0, []
    state_file = args.work / "state.pt"
    if state_file.exists():
        state = torch.load(state_file)
        student.load_state_dict(state["student"])
        average.load_state_dict(state["average"])
        for optimiser, saved in zip(optimisers, state["optimisers"]):
            optimiser.load_state_dict(saved)
        progress, step, history = state["progress"], state["step"], state["history"]
        log(f"resumed at step {step}")

    def save() -> None:
        temporary = state_file.with_suffix(".tmp")
        torch.save({"student": student.state_dict(), "average": average.state_dict(), "progress": progress, "step": step,
                    "history": history, "optimisers": [optimiser.state_dict() for optimiser in optimisers]}, temporary)
        temporary.rename(state_file)
        (args.work / "history.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in history))
        export.write(average.vit, args.out)

    last_save = time.time()
    while progress < 1:
        began = time.time()
        generator = torch.Generator().manual_seed(args.seed * 1_000_003 + step)
        # An epoch is one seeded permutation; a step takes its place in it.
        order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(args.seed + 17 * (step // per_epoch)))
        index = order[(step % per_epoch) * args.batch :][: args.batch]
        grid = ((grids[index].permute(0, 3, 1, 2).float() - grid_mean) / grid_std).to(args.device)
        picture = ((pictures[index].float() / 255 - MEAN) / STD).to(args.device)
        picture, grid = augment(picture, grid, generator)
        grid = grid.flatten(2).transpose(1, 2)
        # Half of the patches are enough for the first two thirds of the run, at half the cost.
        keep = None
        if progress < 0.66:
            keep = torch.rand(len(index), SAMPLE.side**2, generator=generator).argsort(1)[:, : SAMPLE.side**2 // 2].to(args.device)
            grid = grid.gather(1, keep[..., None].expand(-1, -1, 192))
        scale = min(1.0, progress / 0.04 + 0.01) * (0.5 * (1 + np.cos(np.pi * progress)) + 1e-3)
        for optimiser, peak in zip(optimisers, peaks):
            for group in optimiser.param_groups:
                group["lr"] = peak * scale
        out = student.vit(picture, keep)
        agreement = [cosine(student.to_cls[i](out[:, 0]), cls[i][index].to(args.device)) for i in range(2)]
        dense = cosine(student.to_grid(out[:, 1:]), grid)
        entropy = F.cross_entropy(student.to_class(out[:, 0]), labels[index].to(args.device), label_smoothing=0.1)
        loss = (1 - agreement[0]) + (1 - agreement[1]) + 0.5 * (1 - dense) + 0.2 * entropy
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(rest, 1.0)
        for optimiser in optimisers:
            optimiser.step()
        decay = min(0.998, (1 + step) / (10 + step))
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), student.parameters()):
                slow.lerp_(fast, 1 - decay)
        step += 1
        seconds = time.time() - began
        remaining = args.until - time.time()
        progress = min(1.0, progress + (seconds / max(remaining + seconds, 1e-3) * (1 - progress) if args.until else 1 / total))
        if step % 10 == 0 or progress >= 1:
            history.append({"step": step, "epoch": round(step / per_epoch, 3), "loss": round(float(loss), 4),
                            "augreg": round(float(agreement[0]), 4), "deit": round(float(agreement[1]), 4),
                            "grid": round(float(dense), 4), "labels": round(float(entropy), 4)})
        if step % 50 == 0:
            log(f"{history[-1]} progress {progress:.3f} {len(index) / seconds:.0f} pictures/s")
        if time.time() - last_save > 240:
            save()
            last_save = time.time()
    save()
    log("done")


if __name__ == "__main__":
    main()
