"""bitsandbytes' 4 bits, NF4 and FP4: codes that stand for listed numbers, scales of blocks of the flattened matrix.

On disk: ``weight`` [n, 1], bytes under any dtype of ``quant_storage``, two codes each, the first one in the high half;
``weight.quant_state.bitsandbytes__nf4`` (or ``fp4``), bytes of JSON that hold the shape, the dtype, and how many
weights share a scale; ``weight.absmax`` [blocks], floats, or where they are packed themselves bytes, beside
``weight.nested_absmax``, ``weight.nested_quant_map`` [256] and an offset in the JSON; ``weight.quant_map`` [16].

    absmax    as it is, in float32, or RN32(RN32(nested_quant_map[byte] * nested_absmax) + nested_offset)
    W         RN(RN32(value[code] * absmax)), in the dtype of the JSON

The numbers are those of the type, not those of ``quant_map``, which no kernel reads. Source: bitsandbytes 0.50.2,
``functional.py`` (``QuantState``, ``dequantize_4bit``, ``get_4bit_type``) and ``backends/default/ops.py``.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any

import mlx.core as mx
import numpy as np

from ..dialects.fields import shown
from ..dialects.schemes import Scheme
from ..errors import MalformedCheckpoint, UnsupportedFormat
from ..files.folder import FLOATS
from ..weights.listed import Listed
from . import checks
from .protocol import Infos, Measured, Status, Tensors, Traits

ID = "bnb_4bit"
TITLE = "bitsandbytes 4-bit"
STATUS: Status = "enabled"
BITS = (4,)
LAYOUTS = ("nf4", "fp4")
_DESCRIPTIONS = tuple(f".weight.quant_state.bitsandbytes__{kind}" for kind in LAYOUTS)
MARKS = (".weight.absmax", *_DESCRIPTIONS)
_NESTED = (".weight.nested_absmax", ".weight.nested_quant_map")
TENSORS = (".weight", *MARKS, ".weight.quant_map", *_NESTED)
# Floats among them are no weights: they only lend their dtype.
_STORAGE = ("U8", "I8", "F16", "BF16", "F32")
TRAITS = Traits(described=_DESCRIPTIONS, storage=_STORAGE)

# The halves of a normal distribution (QLoRA, arXiv 2305.14314), and a float of 2 bits of exponent and 1 of fraction.
_NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
_FP4 = tuple(magnitude / 12 for magnitude in (0.0, 0.0625, 8.0, 12.0, 4.0, 6.0, 2.0, 3.0))
VALUES = {"nf4": _NF4, "fp4": (*_FP4, *(-value for value in _FP4))}

_BLOCKS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
_KEYS = ("quant_type", "blocksize", "dtype", "shape", "nested_blocksize", "nested_dtype", "nested_offset")
_LARGEST, _LONGEST = float(np.finfo(np.float32).max), 4096
# How far upstream lets two maps be apart that it calls the same.
_APART = 1e-6
_MAP, _SCALES, _OWN, _OWN_MAP = (
    f"weight.{name}" for name in ("quant_map", "absmax", "nested_absmax", "nested_quant_map")
)


@dataclass(frozen=True)
class _State:
    """What the JSON of a module says. ``nested`` is block and offset of packed scales, or None."""

    kind: str
    block: int
    dtype: str
    shape: tuple[int, int]
    nested: tuple[int, float] | None

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def blocks(self) -> int:
        return -(-self.count // self.block)


def recognises(infos: Infos) -> bool:
    return "weight" in infos and _SCALES in infos and bool(_described(infos))


def measure(scheme: Scheme, infos: Infos) -> Measured:
    state = _measured(scheme, infos)
    return Measured(*state.shape, FLOATS[state.dtype])


def decode(scheme: Scheme, tensors: Tensors) -> Listed:
    infos = checks.headers(tensors)
    for name in _described(infos):
        infos[name] = replace(infos[name], data=bytes(np.array(tensors[name]).tobytes()[: _LONGEST + 1]))
    state = _measured(scheme, infos)
    values = mx.array(VALUES[state.kind], dtype=mx.float32)
    if not (mx.abs(tensors[_MAP] - values) <= _APART).all().item():
        raise MalformedCheckpoint(
            "config-contradiction", f"other numbers than those of {state.kind}, which readers go by", where=_MAP
        )
    return Listed(
        codes=mx.contiguous(tensors["weight"]).view(mx.uint8).reshape(-1),
        values=values,
        scales=_scales(state, tensors),
        block=state.block,
        size=state.shape,
        dtype=FLOATS[state.dtype],
    )


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    kind = _described(tensors)[0].rpartition("__")[2]
    if kind == scheme.layout:
        return []
    return [f"the configuration says {scheme.layout}, and the tensors say {kind}, which is followed"]


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    info = infos[leaf]
    if info.data is not None:
        return mx.array(np.frombuffer(info.data, np.uint8))
    if leaf == _MAP:
        return mx.array(VALUES[_described(infos)[0].rpartition("__")[2]], dtype=mx.float32)
    return mx.zeros(info.shape, info.mlx_dtype)


def _described(names: Any) -> list[str]:
    return [checks.leaf(suffix) for suffix in _DESCRIPTIONS if checks.leaf(suffix) in names]


def _measured(scheme: Scheme, infos: Infos) -> _State:
    checks.decoded(scheme, BITS, LAYOUTS, "bnb_4bit_quant_type")
    checks.present(infos, ("weight", _SCALES, _MAP), TENSORS)
    described = _described(infos)
    if len(described) != 1:
        raise MalformedCheckpoint(
            "unexpected-tensor" if described else "missing-tensor",
            f"needs one quant_state; found {' and '.join(described) or 'none'}",
            where=described[-1] if described else checks.leaf(_DESCRIPTIONS[0]),
        )
    checks.dtype(infos, described[0], ("U8",))
    state = _read(infos[described[0]].data, described[0])
    checks.dtype(infos, "weight", _STORAGE)
    rows, columns = checks.matrix(infos, "weight")
    # A single row is the transposed form, which readers turn back.
    if columns != 1 or rows == 1 or infos["weight"].nbytes != -(-state.count // 2):
        raise checks.bad_shape(
            infos, "weight", f"{list(state.shape)} weights of 4 bits take {-(-state.count // 2)} bytes in a column"
        )
    checks.dtype(infos, _SCALES, ("U8",) if state.nested else checks.SCALES)
    checks.dtype(infos, _MAP, ("F32",))
    due = {_SCALES: state.blocks, _MAP: len(_NF4)}
    if state.nested:
        checks.present(infos, (_OWN, _OWN_MAP), TENSORS)
        due |= {_OWN: -(-state.blocks // state.nested[0]), _OWN_MAP: 256}
    for name in (_OWN, _OWN_MAP):
        if not state.nested and name in infos:
            raise MalformedCheckpoint("unexpected-tensor", "the quant_state has no nested_offset", where=name)
        if name in infos:
            checks.dtype(infos, name, ("F32",))
    for name, count in due.items():
        if infos[name].shape != (count,):
            raise checks.bad_shape(infos, name, f"expected {count} in a row, in blocks of {state.block} weights")
    return state


def _read(data: bytes | None, where: str) -> _State:
    """The JSON of a module; ``bad-config-value`` for what is no such JSON, or not of two axes."""
    if data is None or len(data) > _LONGEST:
        raise MalformedCheckpoint("bad-config-value", f"expected at most {_LONGEST} bytes of JSON", where=where)
    try:
        found = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MalformedCheckpoint("bad-config-value", f"not JSON ({error})", where=where) from error
    if not isinstance(found, dict) or (unknown := sorted(found.keys() - set(_KEYS))):
        said = "no object" if not isinstance(found, dict) else f"{shown(unknown[0])} is unknown"
        raise MalformedCheckpoint("bad-config-value", f"{said}; expected {', '.join(_KEYS)}", where=where)

    def one(key: str, allowed: tuple[object, ...]) -> Any:
        value = found.get(key)
        if isinstance(value, bool) or value not in allowed:
            said = f"{key} is {shown(value)}, expected {' or '.join(map(str, allowed))}"
            raise MalformedCheckpoint("bad-config-value", said, where=where)
        return value

    kind = one("quant_type", (where.rpartition("__")[2],))
    block, dtype = one("blocksize", _BLOCKS), one("dtype", tuple(FLOATS))
    return _State(kind, block, dtype, _shape(found, where), _nested(found, one, where))


def _shape(found: dict[str, Any], where: str) -> tuple[int, int]:
    shape = found.get("shape")
    axes = shape if isinstance(shape, list) else []
    if any(isinstance(size, bool) or not isinstance(size, int) or not 0 < size < 2**31 for size in axes) or not axes:
        raise MalformedCheckpoint(
            "bad-config-value", f"shape is {shown(shape)}, expected numbers of outputs and inputs", where=where
        )
    if len(axes) != 2:
        raise UnsupportedFormat(
            "unsupported-layout", f"shape is {shown(shape)}; only two axes are decoded", where=where
        )
    return axes[0], axes[1]


def _nested(found: dict[str, Any], one: Any, where: str) -> tuple[int, float] | None:
    if not any(key.startswith("nested_") for key in found):
        return None
    one("nested_dtype", ("float32",))
    offset = found.get("nested_offset")
    if isinstance(offset, bool) or not isinstance(offset, (int, float)) or not abs(offset) <= _LARGEST:
        raise MalformedCheckpoint(
            "bad-config-value", f"nested_offset is {shown(offset)}, expected a number of float32", where=where
        )
    return one("nested_blocksize", _BLOCKS), float(offset)


def _scales(state: _State, tensors: Tensors) -> mx.array:
    """float32 [blocks], all finite."""
    stored = tensors[_SCALES]
    if state.nested is None:
        checks.finite(tensors, _SCALES)
        return stored.astype(mx.float32)
    for name in (_OWN, _OWN_MAP):
        checks.finite(tensors, name)
    size, offset = state.nested
    own = mx.repeat(tensors[_OWN], size)[: state.blocks]
    found = mx.take(tensors[_OWN_MAP], stored.astype(mx.uint32)) * own + mx.array(offset, dtype=mx.float32)
    checks.finite({_SCALES: found}, _SCALES)
    return found
