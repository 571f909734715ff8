"""The loss curve of the model card, as SVG.

    python3 plot.py --history work/history.jsonl --out ../../assets/sample-model/loss.svg
"""

import argparse
import json
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 320, 52, 150, 28, 44
LINES = (("loss", "#333333", "loss"), ("augreg", "#2f6fde", "cosine, AugReg"), ("deit", "#d9622b", "cosine, DeiT"), ("grid", "#2a9d62", "cosine, patches"))


def smooth(values: list[float], window: int) -> list[float]:
    """Mean of the last `window` values."""
    return [sum(values[max(0, i - window + 1) : i + 1]) / (i + 1 - max(0, i - window + 1)) for i in range(len(values))]


def apart(heights: dict[str, float], least: float = 14) -> dict[str, float]:
    """Heights of names, moved down where two would overlap."""
    moved, last = {}, -least
    for key, height in sorted(heights.items(), key=lambda item: item[1]):
        last = moved[key] = max(height, last + least)
    return moved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--history", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    history = [json.loads(line) for line in args.history.read_text().splitlines()]
    epochs = [entry["epoch"] for entry in history]
    top = max(entry["loss"] for entry in history)
    x = lambda epoch: LEFT + (WIDTH - LEFT - RIGHT) * epoch / epochs[-1]
    y = lambda value: HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top
    parts = []
    for tick in range(5):
        value = top * tick / 4
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ddd"/><text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.1f}</text>')
        epoch = epochs[-1] * tick / 4
        parts.append(f'<text x="{x(epoch):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{epoch:.0f}</text>')
    curves = {key: smooth([entry[key] for entry in history], 10) for key, _, _ in LINES}
    names = apart({key: y(values[-1]) + 4 for key, values in curves.items()})
    for key, colour, name in LINES:
        values = curves[key]
        drawn = list(zip(epochs, values))[:: max(1, len(values) // 400)]
        points = " ".join(f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in drawn)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/><text x="{WIDTH - RIGHT + 8}" y="{names[key]:.1f}" fill="{colour}">{name}</text>')
    args.out.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" font-family="sans-serif" font-size="12" fill="#333">'
        f'<rect width="100%" height="100%" fill="#fff"/><text x="{LEFT}" y="18" font-weight="600">Training of the sample model</text>{"".join(parts)}'
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">epochs</text></svg>\n'
    )


if __name__ == "__main__":
    main()
