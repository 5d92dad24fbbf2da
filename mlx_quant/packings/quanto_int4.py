"""quanto's ``qint4`` and ``qint2``: codes in rows of a group each, with a scale and a shift that are floats.

On disk: the matrix [out, in] is flattened by rows and cut into groups, which are the rows of ``weight._data._data``
uint8 [ceil(groups / n), group], n = 2 or 4 codes a byte: the first rows in the lowest bits of all bytes, the next ones
above them. ``weight._scale`` and ``weight._shift`` [groups, 1] are of one float dtype. Nothing says how many groups
make an output: the scheme must, by its ``shape``.

    W = RN(RN(s * q) - shift), both roundings in the dtype of the scales

Source: optimum-quanto 0.2.7, ``tensor/qbits.py`` (``QBitsDequantizer``), ``tensor/packed.py`` and
``tensor/weights/qbits.py``; ``nn/qmodule.py`` chooses groups.
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..errors import UnsupportedFormat
from ..weights.lowered import Lowered
from . import checks
from .protocol import Infos, Measured, Status, Tensors, Traits

ID = "quanto_int4"
TITLE = "quanto int4"
STATUS: Status = "enabled"
BITS = (2, 4)
LAYOUTS = ("qint4", "qint2")
MARKS = (".weight._data._data",)
TENSORS = (*MARKS, ".weight._scale", ".weight._shift", ".input_scale", ".output_scale")
TRAITS = Traits(unshaped=MARKS)
# MLX's affine form rounds once.
ROUNDS_TWICE = True

_CODES, _SCALES, _SHIFTS = (checks.leaf(suffix) for suffix in TENSORS[:3])
_BYTE = 8


def recognises(infos: Infos) -> bool:
    return _CODES in infos and infos[_CODES].dtype == "U8" and _SCALES in infos


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "weights")
    if scheme.shape == (None, None):
        raise UnsupportedFormat(
            "unsupported-layout",
            "codes lie in rows of a group each, and nothing says how many make an output; of a module alone say its "
            "in_features, for a checkpoint install an mlx-lm that has its model",
            where=_CODES,
        )
    checks.present(infos, (_CODES, _SCALES, _SHIFTS), TENSORS)
    checks.dtype(infos, _CODES, ("U8",))
    rows, size = checks.matrix(infos, _CODES)
    groups, columns = checks.scales(infos, _SCALES)
    if columns != 1:
        # Of a matrix that is one group quanto keeps a scale for each weight.
        raise checks.bad_shape(infos, _SCALES, "expected one a group")
    if infos[_SHIFTS].dtype not in checks.SCALES:
        text = f"dtype {infos[_SHIFTS].dtype}: zero points that are whole numbers, which no layer of quanto 0.2.7 packs"
        raise UnsupportedFormat("unsupported-dtype", text, where=_SHIFTS)
    checks.dtype(infos, _SHIFTS, (infos[_SCALES].dtype,))
    if infos[_SHIFTS].shape != (groups, 1):
        raise checks.bad_shape(infos, _SHIFTS, f"there are {groups} scales")
    if (due := -(-groups * scheme.bits // _BYTE)) != rows:
        raise checks.bad_shape(infos, _CODES, f"{groups} groups of {scheme.bits} bits take {due} rows")
    return Measured(*_size(scheme, infos, groups, size), infos[_SCALES].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Lowered:
    found = measure(scheme, checks.headers(tensors))
    for name in (_SCALES, _SHIFTS):
        checks.finite(tensors, name)
    return Lowered(
        words=tensors[_CODES],
        shifts=tuple(range(0, _BYTE, scheme.bits)),
        bits=scheme.bits,
        count=tensors[_SCALES].shape[0],
        scales=tensors[_SCALES],
        zeros=tensors[_SHIFTS],
        size=(found.out_features, found.in_features),
    )


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return list(scheme.notes)


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)


def _size(scheme: Scheme, infos: Infos, groups: int, size: int) -> tuple[int, int]:
    """Outputs and inputs, as far as the scheme says them; inputs are whole groups."""
    count, (out, inputs) = groups * size, scheme.shape
    inputs = inputs or count // max(1, out or 1)
    if inputs % size or count % inputs or (out is not None and out * inputs != count):
        told = f"{'?' if out is None else out} by {inputs}"
        raise checks.bad_shape(infos, _CODES, f"{groups} groups of {size} weights do not make a matrix of {told}")
    return count // inputs, inputs
