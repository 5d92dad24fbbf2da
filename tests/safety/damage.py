"""Which bent checkpoints are damaged beyond dispute, by safetensors' own rules and the tensors that were there."""

from __future__ import annotations

import json
import math
from typing import Any

from tests.safety.bending import Edit

_BITS = {"F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16, "U16": 16}
_BITS |= {"I8": 8, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4}
ABSENT = "a tensor is not there"


def damage(sound: dict[str, bytes], bent: dict[str, bytes], edits: list[Edit]) -> str | None:
    """What the only edit of an input did to a file of weights, if nobody could take the result for whole.

    Counted are a shard that is not there or is no file, a header that cannot be read, a tensor that is not there, and
    one whose bytes are not in the file or are not as many as its dtype and shape take. Not counted are other values,
    and any change of another file: what a configuration means is a matter of opinion.
    """
    if len(edits) != 1 or not str(edits[0][1]).endswith(".safetensors"):
        return None
    kind, name, *rest = edits[0]
    if kind == "name":
        return "a shard is not there" if rest[0] in ("gone", "link", "pipe", "folder") else None
    due, found = entries(sound[name]), entries(bent[name])
    if due is None or found is None:
        return "a header that cannot be read"
    for tensor in due:
        if tensor not in found:
            return ABSENT
        if not _is_whole(found[tensor], len(bent[name])):
            return "a tensor's bytes are not as its header says"
    return None


def entries(data: bytes) -> dict[str, Any] | None:
    """The header of a safetensors file, and where its data begin as ``""``; None for what is none."""
    try:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size].decode())
    except (ValueError, OverflowError, RecursionError):
        return None
    if len(data) < 8 + size or not isinstance(header, dict):
        return None
    return {name: (entry, 8 + size) for name, entry in header.items() if name != "__metadata__"}


def _is_whole(found: tuple[Any, int], size: int) -> bool:
    entry, start = found
    try:
        first, end = entry["data_offsets"]
        bits = math.prod(entry["shape"]) * _BITS[entry["dtype"]]
        return bool(0 <= first <= end <= size - start and (end - first) * 8 == bits)
    except (KeyError, TypeError, ValueError):
        return False
