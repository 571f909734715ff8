"""Importance scores as SnapViT's authors release them (.pt), as a safetensors file for `prune --scores`.

    python3 tools/released-scores/to_safetensors.py deit-vit-b-16.pt deit-vit-b-16.safetensors

Needs Python alone. Nothing in the file is executed: the pickle may name only what such files are made of.
"""

import json
import pickle
import struct
import sys
import zipfile

NUMBERS = ["num_blocks", "hidden_dim", "embed_dim", "num_heads", "head_dim"]
SHARES = ["min_hidden_dim_keep_ratio", "min_head_keep_ratio"]


def matrix(storage, offset, size, stride, *_):
    """What torch rebuilds a tensor from, as a shape and the bytes of its float32 numbers."""
    if offset != 0 or len(size) != 2 or stride != (size[1], 1) or len(storage) != 4 * size[0] * size[1]:
        raise pickle.UnpicklingError("a tensor is no contiguous matrix of float32")
    return size, storage


KNOWN = {
    "torch._utils._rebuild_tensor_v2": matrix,
    "torch.FloatStorage": "float32",
    "collections.OrderedDict": dict,
    "src.models.enums.ModelType": str,
    "src.models.enums.MLPArchitecture": str,
}


class Reader(pickle.Unpickler):
    def __init__(self, archive, folder):
        super().__init__(archive.open(folder + "data.pkl"))
        self.archive, self.folder = archive, folder

    def find_class(self, module, name):
        if f"{module}.{name}" not in KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of scores")
        return KNOWN[f"{module}.{name}"]

    def persistent_load(self, identity):
        tag, kind, key, _, count = identity
        if tag != "storage" or kind != "float32":
            raise pickle.UnpicklingError("a storage is not of float32")
        data = self.archive.read(f"{self.folder}data/{key}")
        if len(data) != 4 * count:
            raise pickle.UnpicklingError(f"storage {key} is cut short")
        return data


def main(source, target):
    with zipfile.ZipFile(source) as archive:
        folder = next(name for name in archive.namelist() if name.endswith("/data.pkl"))[: -len("data.pkl")]
        scores = Reader(archive, folder).load()
    header, body = {"__metadata__": {"model_type": scores["model_type"]}}, b""
    for name in NUMBERS + SHARES:
        header["__metadata__"][name] = repr(scores[name])
    for name in ["head_scores", "mlp_scores"]:
        shape, data = scores[name]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(target, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


if len(sys.argv) != 3:
    sys.exit(__doc__)
main(sys.argv[1], sys.argv[2])
