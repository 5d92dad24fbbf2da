"""HQQ: codes in rows of bytes, float zero points, and what describes a module in tensors beside it.

On disk: ``W_q`` holds the matrix [out, in], flattened by rows and folded. Along ``axis`` 1 each row of it is a group of
``group_size`` neighbours, along ``axis`` 0 each column is one, ``group_size`` long. ``packing`` says how many rows a
word holds, the first ones in its highest bits: ``8bit_u8``, ``4bit_u8``, ``2bit_u8``, ``1bit_u8`` bytes, and
``3bit_32`` int32 words of ten codes from bit 29 down, rows being filled up to a multiple of ten. ``view_as_float`` says
that these words lie under the dtype of a float. ``scale`` and ``zero`` [rows, 1] or [1, columns] are floats.
``shape``, ``axis``, ``group_size``, ``nbits``, ``packing``, ``compute_dtype`` and flags are tensors of integers, text
as its characters.

    W = RN(RN(q - zero) * scale), both roundings in the dtype of the scales

Source: hqq 0.2.8.post1, ``core/quantize.py`` (``Quantizer.dequantize``, ``HQQLinear.state_dict``), ``core/bitpack.py``
and ``core/utils.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import mlx.core as mx
import numpy as np

from ..dialects.fields import shown
from ..dialects.hqq import WIDTHS
from ..dialects.schemes import Scheme
from ..errors import MalformedCheckpoint, UnsupportedFormat
from ..weights.shifted import Shifted
from . import checks
from .protocol import Infos, Measured, Status, Tensors, Traits

ID = "hqq"
TITLE = "HQQ"
STATUS: Status = "enabled"
BITS = (1, 2, 3, 4, 8)
LAYOUTS = ("axis 0", "axis 1")
MARKS = (".W_q",)
# MLX's affine form rounds once.
ROUNDS_TWICE = True
_FLOATS = ("scale", "zero")
_DESCRIBED = ("shape", "nbits", "group_size", "axis", "packing")
_FLAGS = ("view_as_float", "quant_zero", "quant_scale", "channel_wise")
_TEXTS = ("compute_dtype", "unpack_view_dtype")
# How it was made, which changes no weight.
_NOTED = ("offload_meta", "encoded_state_dict", "stores_quant_config", "optimize", "round_zero")
# Scales and zero points that are packed themselves, or stacked, as older releases had them in memory.
_OLD = ("zero_scale", "zero_q", "scale_q", "meta")
_DESCRIPTIONS = tuple(f".{name}" for name in (*_DESCRIBED, *_FLAGS, *_TEXTS))
TRAITS = Traits(described=_DESCRIPTIONS)
TENSORS = tuple(f".{name}" for name in ("W_q", *_FLOATS, *_DESCRIBED, *_FLAGS, *_TEXTS, *_NOTED, *_OLD))

_INTEGERS: dict[str, Any] = {"U8": np.uint8, "I32": np.int32, "I64": np.int64}
_NUMBERS = _INTEGERS | {"F32": np.float32}
_COMPUTED = {"F16": "torch.float16", "BF16": "torch.bfloat16", "F32": "torch.float32"}
# Width of a code and dtype of a word to the places of codes.
_PACKINGS: dict[str, tuple[int, str, tuple[int, ...]]] = {
    "8bit_u8": (8, "U8", (0,)),
    "4bit_u8": (4, "U8", (4, 0)),
    "3bit_32": (3, "I32", tuple(range(27, -1, -3))),
    "2bit_u8": (2, "U8", (6, 4, 2, 0)),
    "1bit_u8": (1, "U8", tuple(range(7, -1, -1))),
}
_VIEWS = {"U8": "torch.uint8", "I32": "torch.int32"}
_WORDS = {"U8": mx.uint8, "I32": mx.int32}
_LONGEST = 4096


@dataclass(frozen=True)
class _Folded:
    """What tensors say of a module: how it was folded and packed."""

    packing: str
    axis: int
    group: int
    size: tuple[int, int]

    @property
    def rows(self) -> int:
        return self.size[0] * self.size[1] // self.group if self.axis else self.group

    @property
    def columns(self) -> int:
        return self.group if self.axis else self.size[0] * self.size[1] // self.group


def recognises(infos: Infos) -> bool:
    return "W_q" in infos


def measure(scheme: Scheme, infos: Infos) -> Measured:
    return Measured(*_measured(scheme, infos).size, infos["scale"].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Shifted:
    folded = _measured(scheme, _with_data(tensors))
    for name in _FLOATS:
        checks.finite(tensors, name)
    bits, word, shifts = _PACKINGS[folded.packing]
    return Shifted(
        words=mx.contiguous(tensors["W_q"]).view(_WORDS[word]),
        shifts=shifts,
        bits=bits,
        count=folded.rows,
        scales=tensors["scale"],
        zeros=tensors["zero"],
        size=folded.size,
    )


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    folded = _read(_with_data(tensors))
    whole = folded.size[1] if folded.axis else folded.size[0]
    own = (_PACKINGS[folded.packing][0], folded.axis, folded.group)
    said = (scheme.bits, int(scheme.layout[-1]), whole if scheme.group_size == -1 else scheme.group_size)
    return [
        f"the configuration says {what} {theirs}, and the tensors say {mine}, which is followed"
        for what, theirs, mine in zip(("bits", "axis", "group_size"), said, own, strict=True)
        if theirs != mine
    ]


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    info = infos[leaf]
    if info.data is not None and info.dtype in _NUMBERS:
        return mx.array(np.frombuffer(info.data, _NUMBERS[info.dtype]).reshape(info.shape))
    return mx.zeros(info.shape, info.mlx_dtype)


def _with_data(tensors: Tensors) -> Infos:
    infos = checks.headers(tensors)
    for suffix in _DESCRIPTIONS:
        name = checks.leaf(suffix)
        if name in infos and infos[name].dtype in _NUMBERS and infos[name].nbytes <= _LONGEST:
            infos[name] = replace(infos[name], data=np.array(tensors[name]).tobytes())
    return infos


def _measured(scheme: Scheme, infos: Infos) -> _Folded:
    checks.decoded(scheme, BITS, LAYOUTS, "axis")
    for name in _OLD:
        if name in infos:
            raise UnsupportedFormat(
                "unsupported-layout",
                "scales and zero points that are packed or stacked are not decoded; save the model with hqq of today",
                where=name,
            )
    checks.present(infos, ("W_q", *_FLOATS, *_DESCRIBED), TENSORS)
    folded = _read(infos)
    bits, word, shifts = _PACKINGS[folded.packing]
    for name in _FLOATS:
        checks.scales(infos, name)
    checks.dtype(infos, "zero", (infos["scale"].dtype,))
    due = (folded.rows, 1) if folded.axis else (1, folded.columns)
    for name in _FLOATS:
        if infos[name].shape != due:
            raise checks.bad_shape(infos, name, f"{_told(folded)} have {list(due)}")
    as_float = bool(_flag(infos, "view_as_float", False))
    checks.dtype(infos, "W_q", checks.SCALES if as_float else (word,))
    height, width = checks.matrix(infos, "W_q")
    held, own = (4 if word == "I32" else 1), infos["W_q"].mlx_dtype.size
    if bits != 3 and folded.rows % len(shifts):
        raise checks.bad_shape(infos, "W_q", f"{folded.rows} rows do not fill words of {len(shifts)}")
    if height != -(-folded.rows // len(shifts)) or width * own != folded.columns * held:
        raise checks.bad_shape(infos, "W_q", f"{_told(folded)} take {-(-folded.rows // len(shifts))} rows of words")
    return folded


def _read(infos: Infos) -> _Folded:
    packing = _text(infos, "packing")
    if packing not in _PACKINGS:
        raise UnsupportedFormat(
            "unsupported-layout", f"is {shown(packing)}, expected {', '.join(_PACKINGS)}", where="packing"
        )
    bits, word, _ = _PACKINGS[packing]
    nbits = _numbers(infos, "nbits", _NUMBERS)
    # A width that is no whole number is stored as float32.
    if len(nbits) != 1 or bits not in {width for said, width in WIDTHS.items() if np.float32(said) == nbits[0]}:
        raise MalformedCheckpoint("config-contradiction", f"is {nbits[:2]}, and packing {packing}", where="nbits")
    axis, group = _one(infos, "axis"), _one(infos, "group_size")
    if axis not in (0, 1):
        raise MalformedCheckpoint("bad-config-value", f"is {axis}, expected 0 or 1", where="axis")
    shape = [int(number) for number in _numbers(infos, "shape", _INTEGERS)]
    if len(shape) != 2:
        raise UnsupportedFormat("unsupported-layout", f"is {shape[:9]}; only two axes are decoded", where="shape")
    if not all(0 < number < 2**31 for number in (*shape, group)):
        raise MalformedCheckpoint("bad-config-value", f"is {shape} in groups of {group}", where="shape")
    if shape[0] * shape[1] % group:
        raise checks.bad_shape(infos, "shape", f"{shape} weights do not divide into groups of {group}")
    _agreed(infos, word)
    return _Folded(packing, axis, group, (shape[0], shape[1]))


def _agreed(infos: Infos, word: str) -> None:
    """What must not be said, or only so."""
    for name, allowed in (("quant_zero", False), ("quant_scale", False), ("channel_wise", True)):
        if (said := _flag(infos, name, allowed)) != allowed:
            raise UnsupportedFormat("unsupported-layout", f"is {said}, expected {allowed}", where=name)
    for name, due in (("unpack_view_dtype", _VIEWS[word]), ("compute_dtype", _COMPUTED.get(infos["scale"].dtype))):
        if due and name in infos and (text := _text(infos, name)) != due:
            raise MalformedCheckpoint("config-contradiction", f"is {shown(text)}, expected {due}", where=name)


def _told(folded: _Folded) -> str:
    along = "inputs" if folded.axis else "the first axis"
    return f"{list(folded.size)} weights in groups of {folded.group} along {along}"


def _numbers(infos: Infos, name: str, dtypes: dict[str, Any]) -> np.ndarray:
    info = infos[name]
    checks.dtype(infos, name, tuple(dtypes))
    if info.data is None:
        raise MalformedCheckpoint("bad-config-value", f"expected at most {_LONGEST} bytes", where=name)
    return np.frombuffer(info.data, dtypes[info.dtype])


def _one(infos: Infos, name: str) -> int:
    found = _numbers(infos, name, _INTEGERS)
    if found.size != 1:
        raise MalformedCheckpoint("bad-config-value", f"{found.size} numbers, expected one", where=name)
    return int(found[0])


def _flag(infos: Infos, name: str, default: bool) -> bool:
    return bool(_one(infos, name)) if name in infos else default


def _text(infos: Infos, name: str) -> str:
    return "".join(chr(int(character)) for character in _numbers(infos, name, {"U8": np.uint8}))
