"""Checks what docs/checkpoint-format.md's reader reads against the weights that were pruned.

usage: check_reader.py <model folder in a store> <model.safetensors of the source>
The reader is the page's own code, saved as reader.py beside where this runs.
"""
import json
import math
import struct
import sys

from reader import open_checkpoint, read_level

HALF_STEP = 0.5 / (127 * 256)  # of the largest number of a row, in both planes
HALF_HIGH_STEP = 0.5 / 127  # in the high plane alone
ROUNDING = 1.01


def source(path):
    """Name to (shape, numbers), by the safetensors specification."""
    data = open(path, "rb").read()
    (length,) = struct.unpack_from("<Q", data)
    letters = {"F32": "f", "F16": "e"}
    tensors = {}
    for name, tensor in json.loads(data[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        start, end = tensor["data_offsets"]
        letter = letters[tensor["dtype"]]
        count = (end - start) // struct.calcsize(letter)
        tensors[name] = (tensor["shape"], struct.unpack_from(f"<{count}{letter}", data, 8 + length + start))
    return tensors


def cut(numbers, width):
    return [numbers[i : i + width] for i in range(0, len(numbers), width)]


def same(row, original, share):
    largest = max(map(abs, original))
    return all(abs(a - b) <= share * ROUNDING * largest + 1e-7 for a, b in zip(row, original, strict=True))


def matches(rows, originals):
    """Which original each row is: a permutation, or this fails."""
    free = set(range(len(originals)))
    order = []
    for row in rows:
        found = [i for i in free if same(row[:6], originals[i][:6], 1e-3) and same(row, originals[i], HALF_STEP)]
        assert len(found) == 1, f"{len(found)} originals are like a row"
        free.remove(found[0])
        order.append(found[0])
    return order


def main(folder, weights):
    manifest, _ = open_checkpoint(folder)
    ladder, config = manifest["ladder"], manifest["config"]
    original = source(weights)
    full, smallest = read_level(folder, len(ladder) - 1), read_level(folder, 0)
    width, heads, channels, depth = (config[key] for key in ("width", "heads", "channels", "depth"))
    size = width // heads
    kept = 0
    for block in (0, depth - 1):
        name = f"blocks.{block}."
        # Channels: rows of fc1, and columns of fc2 in the same order.
        shape, numbers = full[f"{name}mlp.fc1.weight"]
        assert shape == [channels, width]
        fc1 = cut(numbers, width)
        order = matches(fc1, cut(original[f"{name}mlp.fc1.weight"][1], width))
        columns = list(zip(*cut(original[f"{name}mlp.fc2.weight"][1], channels)))
        fc2 = cut(full[f"{name}mlp.fc2.weight"][1], width)
        # Rounded with columns evened out by powers of two, so that is how their errors are bounded.
        powers = [2.0 ** math.ceil(math.log2(max(map(abs, column)))) for column in zip(*columns)]
        even = lambda row: [number / power for number, power in zip(row, powers, strict=True)]
        assert all(same(even(row), even(columns[i]), HALF_STEP) for row, i in zip(fc2, order, strict=True))
        # Heads: [H, 3, dh, D] here, [3, H, dh, D] there.
        shape, numbers = full[f"{name}attn.qkv.weight"]
        assert shape == [heads, 3, size, width]
        qkv = cut(original[f"{name}attn.qkv.weight"][1], width)
        theirs = [[row for s in range(3) for row in qkv[(s * heads + h) * size :][:size]] for h in range(heads)]
        ours = cut(cut(numbers, width), 3 * size)
        order = matches([head[0] for head in ours], [head[0] for head in theirs])
        for head, i in zip(ours, order, strict=True):
            assert all(same(a, b, HALF_STEP) for a, b in zip(head, theirs[i], strict=True))
        # The smallest level: the first so many rows of the same, from the high plane or corrected.
        for tensor, axis in (("mlp.fc1.weight", "channels"), ("attn.qkv.weight", "heads")):
            shape, numbers = smallest[name + tensor]
            assert shape[0] == ladder[0][axis][block]
            if name + tensor not in ladder[0]["corrections"]:
                pairs = zip(cut(numbers, width), cut(full[name + tensor][1], width))
                assert all(same(a, b, HALF_HIGH_STEP + HALF_STEP) for a, b in pairs)
                kept += len(numbers) // width
    # What no level changes is as it was, to the precision that it is stored in.
    for ours, theirs in (("embed.patch.weight", "patch_embed.proj.weight"), ("norm.weight", "norm.weight")):
        assert same(full[ours][1], original[theirs][1], 1e-3)
    print(json.dumps({"tensors": len(full), "levels": len(ladder), "kept": kept}))


main(*sys.argv[1:])
