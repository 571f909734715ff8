"""Muon (Jordan et al. 2024): momentum whose matrix updates are orthogonalised by a Newton-Schulz iteration."""

import torch


def orthogonalise(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """[k, r, c] -> about U V^T of each one's singular value decomposition."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    transposed = x.shape[1] > x.shape[2]
    if transposed:
        x = x.transpose(1, 2)
    for _ in range(steps):
        square = x @ x.transpose(1, 2)
        x = a * x + (b * square + c * square @ square) @ x
    return (x.transpose(1, 2) if transposed else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """One parameter group for each shape, so that matrices of a shape are treated together."""

    def __init__(self, matrices: list[torch.nn.Parameter], lr: float, momentum: float, weight_decay: float):
        shapes = sorted({tuple(matrix.shape) for matrix in matrices})
        groups = [{"params": [matrix for matrix in matrices if tuple(matrix.shape) == shape]} for shape in shapes]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            parameters = group["params"]
            gradients = torch.stack([parameter.grad for parameter in parameters])
            state = self.state[parameters[0]]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(gradients)
            momentum = state["momentum"].lerp_(gradients, 1 - group["momentum"])
            updates = orthogonalise(gradients.lerp(momentum, group["momentum"]))
            rows, columns = parameters[0].shape
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(parameters, list(updates.unbind(0)), alpha=-group["lr"] * max(1, rows / columns) ** 0.5)
