"""AQLM: each block of weights is a sum of entries of codebooks, times the scale of its row of blocks.

On disk: ``codebooks`` [n, 2^b, rows, columns], floats, n tables of blocks of the matrix [out, in]; ``codes``
[out / rows, in / columns, n], int8 of at most 8 bits and int16 of more, read modulo 2^b; ``scales``
[out / rows, 1, 1, 1] of the dtype of the codebooks.

    W = RN(RN(RN32(e_1 + ... + e_n)) * s), each step of the sum in float32, the others in the dtype of the codebooks

Source: aqlm 1.1.7, ``utils.py`` (``unpack_int_data``, ``_dequantize_weight``) and ``inference.py``
(``QuantizedLinear``).
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..weights.codebooks import Codebooks
from . import checks
from .protocol import Infos, Measured, Status, Tensors

ID = "aqlm"
TITLE = "AQLM"
STATUS: Status = "enabled"
BITS = tuple(range(1, 17))
LAYOUTS = ("additive",)
MARKS = (".codebooks", ".codes")
TENSORS = (*MARKS, ".scales")

_BOOKS, _CODES, _SCALES = (checks.leaf(suffix) for suffix in TENSORS)
_BYTE = 8


def recognises(infos: Infos) -> bool:
    return _BOOKS in infos and _CODES in infos


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "nbits_per_codebook")
    checks.present(infos, (_CODES, _BOOKS, _SCALES), TENSORS)
    checks.floats(infos, _BOOKS)
    checks.dtype(infos, _CODES, ("I8",) if scheme.bits <= _BYTE else ("I16",))
    checks.dtype(infos, _SCALES, (infos[_BOOKS].dtype,))
    assert scheme.block is not None
    due = (scheme.codebooks, 1 << scheme.bits, *scheme.block)
    if infos[_BOOKS].shape != due:
        raise checks.bad_shape(
            infos, _BOOKS, f"the configuration says {list(due)}: codebooks, entries, and a block of each entry"
        )
    shape = infos[_CODES].shape
    if len(shape) != 3 or 0 in shape or shape[2] != scheme.codebooks:
        raise checks.bad_shape(infos, _CODES, f"expected row blocks, column blocks, and {scheme.codebooks} codes")
    if infos[_SCALES].shape != (shape[0], 1, 1, 1):
        # aqlm turns codes in place where a CPU ran a model; what is saved afterwards is of no use to anybody.
        turned = "; the codes were turned by a run on a CPU" if infos[_SCALES].shape == (shape[1], 1, 1, 1) else ""
        raise checks.bad_shape(infos, _SCALES, f"expected {[shape[0], 1, 1, 1]}, one a row of blocks{turned}")
    rows, columns = scheme.block
    return Measured(shape[0] * rows, shape[1] * columns, infos[_BOOKS].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Codebooks:
    measure(scheme, checks.headers(tensors))
    checks.finite(tensors, _SCALES)
    checks.finite(tensors, _BOOKS)
    unsigned = mx.uint8 if scheme.bits <= _BYTE else mx.uint16
    codes = tensors[_CODES].view(unsigned) & mx.array((1 << scheme.bits) - 1, dtype=unsigned)
    return Codebooks(codes=codes, tables=tensors[_BOOKS], scales=tensors[_SCALES].reshape(-1))


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return list(scheme.notes)


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)
