"""Tensors and what is said of them as the bytes of a safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping

from torch import Tensor


def tensor_file(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Equal tensors and metadata give equal bytes: safetensors itself writes the metadata in an order of chance.

    The format: the header's length (8 bytes, little-endian), the header (JSON, filled up with spaces), the numbers.
    """
    from safetensors.torch import save

    data = save(dict(tensors), metadata=dict(metadata))
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return data[:8] + text.ljust(end - 8) + data[end:]
