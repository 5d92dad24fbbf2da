"""A loader as one finds them: NumPy, 4-bit GPTQ and AWQ, float16. It has one fault that its authors know of."""

from __future__ import annotations

from typing import Any

import numpy as np

__version__ = "0.3.0"
_SHIFTS = np.arange(0, 32, 4, dtype=np.uint32)
_AWQ_COLUMNS = [0, 4, 1, 5, 2, 6, 3, 7]


class Unsupported(Exception):
    """Not read by this loader."""


def decode(config: dict[str, Any], tensors: dict[str, np.ndarray]) -> np.ndarray:
    """The dense float16 weight [out, in]."""
    method = config.get("quant_method")
    if method not in ("gptq", "awq") or config.get("bits") != 4 or not isinstance(config.get("group_size"), int):
        raise Unsupported(f"{method}, {config.get('bits')} bits")
    if "act.scales" in tensors:
        raise Unsupported("a scaled activation")
    if method == "gptq" and config.get("checkpoint_format", config.get("format", "gptq")) != "gptq":
        raise Unsupported("another layout of GPTQ")
    if method == "awq" and str(config.get("version")).lower() != "gemm":
        raise Unsupported(f"AWQ {config.get('version')}")
    if config.get("is_marlin_format") or config.get("backend"):
        raise Unsupported("a layout of some kernel")
    if missing := {"qweight", "qzeros", "scales"} - tensors.keys():
        raise Unsupported(f"no {', '.join(sorted(missing))}")
    scales = tensors["scales"]
    if scales.dtype != np.float16 or not np.isfinite(scales).all():
        raise Unsupported("scales that are no finite float16")
    if any(tensors[name].dtype != np.int32 or tensors[name].ndim != 2 for name in ("qweight", "qzeros")):
        raise Unsupported("words that are no matrix of int32")
    q = _fields(tensors["qweight"], 0 if method == "gptq" else 1)
    z = _fields(tensors["qzeros"], 1)
    if method == "awq":
        q, z = (x.reshape(len(x), -1, 8)[:, :, _AWQ_COLUMNS].reshape(x.shape) for x in (q, z))
    else:
        z = z + 1  # the fault: a stored 15 means 0, and becomes 16 here
    if z.shape != scales.shape or q.shape[1] != scales.shape[1]:
        raise Unsupported("shapes that do not fit each other")
    g = _groups(config, tensors, len(q), len(scales))
    with np.errstate(over="ignore"):
        return np.ascontiguousarray((scales[g].astype(np.float32) * (q - z[g])).astype(np.float16).T)


def _fields(words: np.ndarray, axis: int) -> np.ndarray:
    spread = np.expand_dims(words.view(np.uint32), axis + 1) >> (_SHIFTS[:, None] if axis == 0 else _SHIFTS)
    shape = (words.shape[0] * 8, words.shape[1]) if axis == 0 else (words.shape[0], words.shape[1] * 8)
    return (spread & 15).reshape(shape).astype(np.int32)


def _groups(config: dict[str, Any], tensors: dict[str, np.ndarray], rows: int, groups: int) -> np.ndarray:
    size = rows if config["group_size"] == -1 else config["group_size"]
    if config["quant_method"] == "awq" and size > 0 and rows % size:
        raise Unsupported("a short last group")
    if config.get("q_group_size", size) != size or size < 1 or -(-rows // size) != groups:
        raise Unsupported("a group size that the scales contradict")
    if "g_idx" not in tensors:
        if config.get("desc_act") and groups > 1 and not config.get("static_groups"):
            raise Unsupported("act-order without g_idx")
        return np.arange(rows) // size
    g = tensors["g_idx"]
    if config["quant_method"] == "awq" or g.shape != (rows,) or g.min() < 0 or g.max() >= groups:
        raise Unsupported("a g_idx that does not fit")
    return g
