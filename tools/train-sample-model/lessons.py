"""What a training step learns from: views of pictures and what the teachers say of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from augment import views
from teachers import IMAGE, Teachers
from vit import SAMPLE

# The teachers cost twice what the student does, so that each view is used twice, the second time mirrored, some steps later.
BATCHES, USES = 8, 2


@dataclass(frozen=True)
class Lesson:
    pictures: torch.Tensor  # [n, 3, s, s] in 0 to 1
    embeddings: list[torch.Tensor]  # a teacher's standardised [CLS] [n, 192] each
    joint: torch.Tensor  # both along their principal axes [n, width]
    grids: list[torch.Tensor]  # a teacher's standardised patches [n, side * side, 192] each

    def part(self, rows: torch.Tensor, mirrored: bool) -> "Lesson":
        pictures, grids = self.pictures[rows], [grid[rows] for grid in self.grids]
        if mirrored:
            pictures = pictures.flip(-1)
            grids = [grid.unflatten(1, (SAMPLE.side, SAMPLE.side)).flip(2).flatten(1, 2) for grid in grids]
        return Lesson(pictures, [embedding[rows] for embedding in self.embeddings], self.joint[rows], grids)


def lesson(pictures: torch.Tensor, teachers: Teachers, generator: torch.Generator) -> Lesson:
    small, large = views(pictures, (SAMPLE.image, IMAGE), generator)
    embeddings, grids = teachers(large)
    return Lesson(small, embeddings, teachers.joint(embeddings), grids)


def lessons(pictures: torch.Tensor, teachers: Teachers, batch: int, seed: int, step: int) -> Iterator[Lesson]:
    """The lessons of a run from a step on, without an end; the same for the same seed. pictures [n, 3, s, s] uint8."""
    generator = torch.Generator(pictures.device)
    chunk, skipped = divmod(step, BATCHES * USES)
    while True:
        generator.manual_seed(seed * 1_000_003 + chunk)
        chosen = torch.randperm(len(pictures), generator=generator, device=pictures.device)[: BATCHES * batch]
        taught = [lesson(pictures[part], teachers, generator) for part in chosen.split(batch)]
        join = lambda parts: torch.cat(list(parts))
        both = range(len(taught[0].grids))
        whole = Lesson(
            join(one.pictures for one in taught),
            [join(one.embeddings[i] for one in taught) for i in both],
            join(one.joint for one in taught),
            [join(one.grids[i] for one in taught) for i in both],
        )
        parts = []
        for use in range(USES):
            order = torch.randperm(len(whole.pictures), generator=generator, device=pictures.device)
            parts += [(rows, use % 2 == 1) for rows in order.split(batch)]
        for rows, mirrored in parts[skipped:]:
            yield whole.part(rows, mirrored)
        chunk, skipped = chunk + 1, 0
