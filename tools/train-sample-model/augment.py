"""One view of a picture, for the student and for its teachers: the same crop, colours and mixture at two sizes."""

import math

import torch
import torch.nn.functional as F


def rand(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=generator, device=generator.device)


def geometry(n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows that the views look through, as affine maps [n, 2, 3], and which of them lie on a plain ground [n].

    A third sees the picture whole, as the product will, a seventh sees it small on a plain ground, the others see 0.15 to 1.5
    of its area; half are mirrored, some are turned.
    """
    kind = rand(generator, n)
    plain = kind > 0.86
    area = torch.exp(math.log(0.15) + (math.log(1.5) - math.log(0.15)) * rand(generator, n))
    area = torch.where(kind < 0.33, torch.ones_like(area), area)
    area = torch.where(plain, 1.2 + 1.8 * rand(generator, n), area)
    aspect = torch.exp((rand(generator, n) - 0.5) * 0.6)
    w, h = (area * aspect).sqrt(), (area / aspect).sqrt()
    turned = rand(generator, n)
    angle = torch.where(turned < 0.3, rand(generator, n) - 0.5, torch.zeros_like(area))
    angle = torch.where(turned > 0.9, (rand(generator, n) * 4).floor() * (math.pi / 2), angle)
    mirror = torch.where(rand(generator, n) < 0.5, -1.0, 1.0)
    theta = torch.zeros(n, 2, 3, device=generator.device)
    theta[:, 0, 0], theta[:, 0, 1] = w * mirror * angle.cos(), -h * angle.sin()
    theta[:, 1, 0], theta[:, 1, 1] = w * mirror * angle.sin(), h * angle.cos()
    theta[:, 0, 2] = (1 - w).abs() * (2 * rand(generator, n) - 1)
    theta[:, 1, 2] = (1 - h).abs() * (2 * rand(generator, n) - 1)
    return theta, plain


def colours(n: int, generator: torch.Generator):
    """A colour change, to be applied to both sizes: pictures [n, 3, s, s] in 0 to 1 -> the same."""
    changed = (rand(generator, n, 1, 1, 1) < 0.7).float()
    gain = 1 + changed * 0.8 * (rand(generator, n, 1, 1, 1) - 0.5)
    offset = changed * (0.4 * (rand(generator, n, 1, 1, 1) - 0.5) + 0.2 * (rand(generator, n, 3, 1, 1) - 0.5))
    saturation = 1 + changed * 1.4 * (rand(generator, n, 1, 1, 1) - 0.5)
    saturation = torch.where(rand(generator, n, 1, 1, 1) < 0.08, torch.zeros_like(saturation), saturation)

    def change(pictures: torch.Tensor) -> torch.Tensor:
        grey = pictures.mean(1, keepdim=True)
        pictures = grey + (pictures - grey) * saturation
        return ((pictures - 0.5) * gain + 0.5 + offset).clamp(0, 1)

    return change


def mixture(n: int, generator: torch.Generator):
    """A quarter blended with another view (mixup), a quarter with a rectangle of it (CutMix): [n, 3, s, s] -> the same."""
    kind = rand(generator, n)
    share = rand(generator, n, 1, 1, 1)
    side = rand(generator, 2, n, 1) * 0.6 + 0.2
    start = rand(generator, 2, n, 1) * (1 - side)
    partner = torch.arange(n, device=generator.device).roll(1)

    def mix(pictures: torch.Tensor) -> torch.Tensor:
        size = pictures.shape[-1]
        at = (torch.arange(size, device=pictures.device) + 0.5) / size
        inside = ((at >= start) & (at < start + side)).float()
        cut = inside[0][:, None, None, :] * inside[1][:, None, :, None]
        weight = torch.zeros_like(cut)
        weight = torch.where(kind[:, None, None, None] < 0.25, share.expand_as(cut), weight)
        weight = torch.where(kind[:, None, None, None] > 0.75, cut, weight)
        return pictures + weight * (pictures[partner] - pictures)

    return mix


def views(pictures: torch.Tensor, sizes: tuple[int, ...], generator: torch.Generator) -> list[torch.Tensor]:
    """pictures [n, 3, s, s] uint8 -> the same random view of each at every size, [n, 3, size, size] in 0 to 1."""
    n = len(pictures)
    (theta, plain), colour, mix = geometry(n, generator), colours(n, generator), mixture(n, generator)
    ground = rand(generator, n, 3, 1, 1)
    source = pictures.float().div_(255)
    result = []
    for size in sizes:
        at = F.affine_grid(theta, [n, 3, size, size], False)
        view = F.grid_sample(source, at, "bicubic", "reflection", False).clamp_(0, 1)
        outside = (at.abs().amax(-1) > 1) & plain[:, None, None]
        result.append(mix(colour(torch.where(outside[:, None], ground, view))))
    return result
