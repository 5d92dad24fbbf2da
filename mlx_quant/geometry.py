"""What the shapes of a packed module's tensors say, held against what the configuration says of it."""

from __future__ import annotations

from collections.abc import Mapping

from .config import Scheme
from .errors import MalformedCheckpoint, UnsupportedFormat
from .files import TensorInfo

Tensors = Mapping[str, TensorInfo]

_WORDS = ("I32", "U32")
_SCALES = ("F16", "BF16", "F32")


def measure(scheme: Scheme, tensors: Tensors) -> tuple[int, int]:
    """Output and input features of a module, from headers alone.

    Args:
        scheme: as configured for this module.
        tensors: local name (``qweight``, ``scales``, ...) to header entry.

    Raises:
        UnsupportedFormat: ``unsupported-layout``, shapes of another packing; ``unsupported-dtype``.
        MalformedCheckpoint: ``missing-tensor``, ``bad-dtype``, ``bad-shape`` (also bits or a group size that the
            shapes contradict), ``config-contradiction`` (AWQ's shapes under the name GPTQ, or the other way round).
    """
    for leaf in ("qweight", "scales"):
        if leaf not in tensors:
            raise MalformedCheckpoint("missing-tensor", f"found only {', '.join(sorted(tensors))}", where=leaf)
    qweight, scales = tensors["qweight"], tensors["scales"]
    if qweight.dtype in ("I8", "U8", "I16", "U16", "I64"):
        kind = "BitBLAS or 8-bit words" if "8" in qweight.dtype else "AWQ gemv_fast, llm-awq or 16- or 64-bit words"
        raise UnsupportedFormat(
            "unsupported-layout", f"dtype {qweight.dtype} is that of {kind}; expected int32 words", where="qweight"
        )
    _dtype(tensors, "qweight", _WORDS)
    if scales.dtype not in _SCALES:
        raise UnsupportedFormat(
            "unsupported-dtype", f"dtype {scales.dtype}, expected float16, bfloat16 or float32", where="scales"
        )
    for info in (qweight, scales):
        if len(info.shape) != 2 or 0 in info.shape:
            raise _shape(info, "expected two axes, none empty")
    family = _family(scheme, tensors)
    if family not in ("gptq", "awq"):
        raise UnsupportedFormat(
            "unsupported-layout",
            f"shape {list(qweight.shape)} with scales {list(scales.shape)} is that of {family}, which is not decoded",
            where="qweight",
        )
    if family != scheme.method:
        raise MalformedCheckpoint(
            "config-contradiction",
            f"shape {list(qweight.shape)} with scales {list(scales.shape)} is packed as {family.upper()}, but the "
            f"configuration says {scheme.method.upper()}; correct quant_method",
            where="qweight",
        )
    in_features = _gptq(scheme, tensors) if family == "gptq" else _awq(scheme, tensors)
    return scales.shape[1], in_features


def _family(scheme: Scheme, tensors: Tensors) -> str:
    (rows, columns), (groups, out) = tensors["qweight"].shape, tensors["scales"].shape
    if columns == out:
        return "gptq"
    if columns * (32 // scheme.bits) == out or columns * 8 == out:
        return "awq"
    if columns == 2 * out and "qzeros" not in tensors:
        return "Marlin"
    if rows == groups:
        return "AWQ gemv"
    raise _shape(tensors["qweight"], f"fits no packing of {out} outputs, the columns of scales")


def _gptq(scheme: Scheme, tensors: Tensors) -> int:
    rows, out = tensors["qweight"].shape
    g_idx = tensors.get("g_idx")
    if g_idx is None:
        in_features = rows * 32 // scheme.bits
    else:
        _dtype(tensors, "g_idx", ("I32", "I64"))
        if len(g_idx.shape) != 1 or 0 in g_idx.shape:
            raise _shape(g_idx, "expected one entry for each input channel")
        in_features = g_idx.shape[0]
        if rows != -(-in_features * scheme.bits // 32):
            raise _shape(
                tensors["qweight"],
                f"{in_features} input channels of {scheme.bits} bits take {-(-in_features * scheme.bits // 32)} rows; "
                f"{rows} would be {rows * 32 / in_features:g} bits",
            )
    if g_idx is None and scheme.desc_act and not scheme.static_groups and tensors["scales"].shape[0] > 1:
        raise MalformedCheckpoint(
            "missing-tensor", "desc_act is true, so without it the group of a channel is unknown", where="g_idx"
        )
    if "qzeros" not in tensors and scheme.sym is False:
        raise MalformedCheckpoint("missing-tensor", "asymmetric weights cannot be decoded without it", where="qzeros")
    _groups(scheme, tensors, in_features)
    _zeros(scheme, tensors, out)
    return in_features


def _awq(scheme: Scheme, tensors: Tensors) -> int:
    (in_features, columns), (_, out) = tensors["qweight"].shape, tensors["scales"].shape
    if columns * 32 != out * scheme.bits:
        raise _shape(
            tensors["qweight"],
            f"{out} outputs of {scheme.bits} bits take {out * scheme.bits / 32:g} columns; {columns} would be "
            f"{columns * 32 / out:g} bits",
        )
    if "qzeros" not in tensors:
        raise MalformedCheckpoint("missing-tensor", f"found only {', '.join(sorted(tensors))}", where="qzeros")
    _groups(scheme, tensors, in_features)
    _zeros(scheme, tensors, out)
    return in_features


def _zeros(scheme: Scheme, tensors: Tensors, out: int) -> None:
    if "qzeros" not in tensors:
        return
    _dtype(tensors, "qzeros", _WORDS)
    qzeros, groups = tensors["qzeros"], tensors["scales"].shape[0]
    expected = (groups, -(-out * scheme.bits // 32))
    if qzeros.shape != expected:
        raise _shape(qzeros, f"{groups} groups of {out} zero points of {scheme.bits} bits take {list(expected)}")


def _groups(scheme: Scheme, tensors: Tensors, in_features: int) -> None:
    scales = tensors["scales"]
    size = in_features if scheme.group_size == -1 else scheme.group_size
    expected = -(-in_features // size)
    if scales.shape[0] != expected:
        implied = f"{in_features / scales.shape[0]:g}"
        raise _shape(
            scales,
            f"{in_features} input channels in groups of {scheme.group_size} make {expected} rows; "
            f"{scales.shape[0]} would be groups of {implied}",
        )


def _dtype(tensors: Tensors, leaf: str, expected: tuple[str, ...]) -> None:
    if tensors[leaf].dtype not in expected:
        raise MalformedCheckpoint(
            "bad-dtype", f"dtype {tensors[leaf].dtype}, expected {' or '.join(expected)}", where=leaf
        )


def _shape(info: TensorInfo, because: str) -> MalformedCheckpoint:
    return MalformedCheckpoint("bad-shape", f"shape {list(info.shape)}: {because}", where=info.name.rpartition(".")[2])
