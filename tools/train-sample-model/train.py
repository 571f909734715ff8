"""Trains the sample model: a small ViT learns to say what two pretrained teachers say of the same views.

    python3 train.py --data ../../../shared/data --out ../../assets/sample-model --compile

Resumes from `--work` when it was interrupted. Seeded; the figures of the model card come from `evaluate.py`.
"""

import argparse
import copy
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import export
from augment import views
from data import held_back, tiny_imagenet
from lessons import lessons
from muon import Muon
from teachers import IMAGE, Teachers
from vit import SAMPLE, VisionTransformer

MEAN = STD = 0.5
MATRIX_RATE, REST_RATE = 0.02, 2e-3
WARM_UP = 500
# A view's neighbours are those of this softmax over cosines.
TEMPERATURE = 0.1
# Weights of the loss beside the [CLS] cosines.
PATCHES, NEIGHBOURS = 0.5, 0.7


class Student(nn.Module):
    """The network that is kept, and the linear maps that exist only while it learns."""

    def __init__(self):
        super().__init__()
        self.vit = VisionTransformer(SAMPLE)
        self.vit.initialise()
        self.to_cls = nn.ModuleList(nn.Linear(SAMPLE.width, 192) for _ in range(2))
        self.to_grid = nn.ModuleList(nn.Linear(SAMPLE.width, 192) for _ in range(2))


def parse() -> argparse.Namespace:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with models/ and images/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work"), help="the state of the run")
    parser.add_argument("--minutes", type=float, default=12 if cuda else 180, help="the schedule ends when this time is over")
    parser.add_argument("--batch", type=int, default=512 if cuda else 128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are cores")
    parser.add_argument("--device", default="cuda" if cuda else "cpu")
    parser.add_argument("--compile", action="store_true", help="compile the blocks (worth it from some minutes on)")
    return parser.parse_args()


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return F.cosine_similarity(a.float(), b.float(), dim=-1).mean()


def similarities(embeddings: torch.Tensor) -> torch.Tensor:
    """[n, d] -> cosines [n, n], each to itself left out."""
    unit = F.normalize(embeddings.float(), dim=1)
    return (unit @ unit.T).fill_diagonal_(-1e4)


def neighbours_lost(student: torch.Tensor, teachers: torch.Tensor) -> torch.Tensor:
    """KL divergence from the teachers' neighbours in the batch to the student's: what k-NN and retrieval read (SEED, Fang et al. 2021)."""
    wanted = (similarities(teachers) / TEMPERATURE).log_softmax(1)
    said = (similarities(student) / TEMPERATURE).log_softmax(1)
    return (wanted.exp() * (wanted - said)).sum(1).mean()


def main() -> None:
    args = parse()
    began = time.time()
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    if args.threads:
        torch.set_num_threads(args.threads)
    cuda = args.device == "cuda"
    args.work.mkdir(parents=True, exist_ok=True)
    log = lambda line: print(f"{time.time() - began:7.1f} s  {line}", flush=True)
    everything, labels, classes = tiny_imagenet(args.data / "images" / "tiny-imagenet-train.tar")
    kept = ~np.isin(labels, held_back(classes))
    pictures = torch.from_numpy(everything[kept]).permute(0, 3, 1, 2).contiguous().to(args.device)
    log(f"{len(pictures)} pictures")
    generator = torch.Generator(args.device).manual_seed(args.seed)
    teachers = Teachers(args.data / "models", args.device, args.compile)
    some = torch.randperm(len(pictures), generator=generator, device=args.device)[:4096]
    teachers.standardise([views(pictures[part], (IMAGE,), generator)[0] for part in some.split(args.batch)])

    student = Student().to(args.device)
    average = copy.deepcopy(student).requires_grad_(False)
    if args.compile:
        student.vit.compile_blocks()
    matrices = [p for p in student.vit.blocks.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    rest = [p for p in student.parameters() if id(p) not in chosen]
    decayed, plain = [p for p in rest if p.ndim >= 2], [p for p in rest if p.ndim < 2]
    optimisers = [
        Muon(matrices, lr=MATRIX_RATE, momentum=0.95, weight_decay=0.02),
        torch.optim.AdamW([{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0}], lr=REST_RATE, betas=(0.9, 0.98)),
    ]
    peaks = [MATRIX_RATE, REST_RATE]
    progress, step, spent, history, pending = 0.0, 0, 0.0, [], []
    state_file = args.work / "state.pt"
    if state_file.exists():
        state = torch.load(state_file)
        student.load_state_dict(state["student"])
        average.load_state_dict(state["average"])
        for optimiser, saved in zip(optimisers, state["optimisers"]):
            optimiser.load_state_dict(saved)
        progress, step, spent, history = state["progress"], state["step"], state["spent"], state["history"]
        log(f"resumed at step {step}")

    def save() -> None:
        temporary = state_file.with_suffix(".tmp")
        torch.save({"student": student.state_dict(), "average": average.state_dict(), "progress": progress, "step": step, "spent": spent,
                    "history": history, "optimisers": [optimiser.state_dict() for optimiser in optimisers]}, temporary)
        temporary.rename(state_file)
        (args.work / "history.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in history))
        export.write(average.vit, args.out)

    last_save = last_log = last_flush = time.time()
    flushed, pace, interval = step, 0.0, 50 if cuda else 10
    course = lessons(pictures, teachers, args.batch, args.seed, step)
    while progress < 1:
        lesson = next(course)
        scale = min(1.0, (step + 1) / WARM_UP) * (0.5 * (1 + math.cos(math.pi * progress)) + 1e-3)
        for optimiser, peak in zip(optimisers, peaks):
            for group in optimiser.param_groups:
                group["lr"] = peak * scale
        with torch.autocast("cuda", torch.bfloat16, enabled=cuda):
            out = student.vit((lesson.pictures - MEAN) / STD)
            agreement = [cosine(to(out[:, 0]), wanted) for to, wanted in zip(student.to_cls, lesson.embeddings)]
            dense = [cosine(to(out[:, 1:]), wanted) for to, wanted in zip(student.to_grid, lesson.grids)]
        neighbours = neighbours_lost(out[:, 0], lesson.joint)
        loss = (2 - sum(agreement)) + PATCHES * (2 - sum(dense)) + NEIGHBOURS * neighbours
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(rest, 1.0)
        for optimiser in optimisers:
            optimiser.step()
        decay = min(0.999, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(average.parameters()), list(student.parameters()), 1 - decay)
        step += 1
        if step % 10 == 0:
            pending.append((step, torch.stack([part.detach() for part in (loss, *agreement, sum(dense) / 2, neighbours)])))
        progress = min(1.0, progress + pace)
        if step - flushed >= interval or progress >= 1:
            for at, values in pending:
                values = dict(zip(("loss", "augreg", "deit", "grid", "neighbours"), (round(value, 4) for value in values.tolist())))
                history.append({"step": at, "epoch": round(at * args.batch / len(pictures), 3), **values})
            pending = []
            now = time.time()
            seconds = (now - last_flush) / (step - flushed)
            spent += now - last_flush
            last_flush, flushed = now, step
            # The cosine ends when the time is over, whatever a step takes.
            pace = (1 - progress) / max((args.minutes * 60 - spent) / seconds, 1)
            if now - last_log > 15 or progress >= 1:
                log(f"{history[-1]} progress {progress:.3f} {args.batch / seconds:.0f} pictures/s")
                last_log = now
            if now - last_save > 60:
                save()
                last_save = time.time()
    save()
    log(f"done: {step} steps")


if __name__ == "__main__":
    main()
