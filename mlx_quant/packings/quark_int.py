"""Integers as AMD's Quark writes them: of 2, 4 and 8 bits, signed or not, by group, by output, or all alike.

On disk, ``int4`` and ``uint4`` as eight nibbles an int32 word, ``uint2`` as four numbers a byte, the first one highest,
``int2`` as an int32 word each, ``int8`` and ``uint8`` as bytes of their own:

    per_group    ``weight`` [in, out], ``weight_scale`` [groups, out], ``weight_zero_point`` [groups, out]
    per_channel  ``weight`` [out, in], ``weight_scale`` [out], ``weight_zero_point`` [out]
    per_tensor   ``weight`` [out, in], ``weight_scale`` [], ``weight_zero_point`` [], which is no nibble

Last axes are those of numbers: words of nibbles make them an eighth as long, bytes of ``uint2`` a quarter. Under
``pack_method: reorder`` nibble ``i`` of a word is number ``ORDER[i]`` of its eight, as in AWQ; under ``order`` it is
number ``i``; of other widths it says nothing. Codes and zero points of signed types are in two's complement. Of
``uint2`` Quark exports none with one scale for all. ``W = RN32((q - z) * s)``, which the forward pass rounds to the
dtype of the model, in which scales are stored. Source: amd-quark 0.13, ``torch/utils/pack.py``,
``torch/export/nn/modules/realquantizer.py`` and ``torch/kernel/hw_emulation/hw_emulation_interface.py``.
"""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from ..dialects.schemes import Scheme
from ..errors import UnsupportedFormat
from ..weights.bits import NIBBLES, as_words, pack, rows_as_words, unpack
from ..weights.host import read
from ..weights.integer import Integer
from ..weights.words import Nibbles, Words
from . import checks
from .awq_gemm import ORDER
from .protocol import Infos, Measured, Status, Tensors

ID = "quark_int"
TITLE = "Quark (integers)"
STATUS: Status = "enabled"
BITS = (2, 4, 8)
LAYOUTS = ("int-reorder", "int-order", "uint-reorder", "uint-order")
MARKS = (".weight_scale",)
# The last ones are of activations: known, and not read.
_BESIDES = (".input_scale", ".input_zero_point", ".output_scale", ".output_zero_point")
TENSORS = (".weight", ".weight_scale", ".weight_zero_point", *_BESIDES)

_CODES, _SCALES, _ZEROS = (checks.leaf(suffix) for suffix in TENSORS[:3])
# By width and kind: how numbers are stored, and how many of them in one element.
_STORED: dict[tuple[int, str], tuple[tuple[str, ...], int]] = {
    (2, "int"): (("I32",), 1),
    (2, "uint"): (("U8",), 4),
    (4, "int"): (checks.WORDS, NIBBLES),
    (4, "uint"): (checks.WORDS, NIBBLES),
    (8, "int"): (("I8",), 1),
    (8, "uint"): (("U8",), 1),
}
_ONE = ((), (1,))


def recognises(infos: Infos) -> bool:
    if not {_CODES, _SCALES, _ZEROS} <= infos.keys():
        return False
    codes, zeros = infos[_CODES], infos[_ZEROS]
    if codes.dtype in checks.WORDS:
        return zeros.dtype in checks.WORDS
    # Bytes of compressed-tensors have scales of two axes, a row for each output.
    scales = infos[_SCALES].shape
    return codes.dtype == zeros.dtype and codes.dtype in ("I8", "U8") and not _rows(codes.shape, scales)


def _rows(codes: tuple[int, ...], scales: tuple[int, ...]) -> bool:
    return len(codes) == len(scales) == 2 and codes[0] == scales[0] != codes[1]


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "dtype")
    checks.present(infos, (_CODES, _SCALES, _ZEROS), TENSORS)
    kind, per_element = _STORED[scheme.bits, _kind(scheme)]
    checks.dtype(infos, _CODES, kind)
    checks.dtype(infos, _ZEROS, kind)
    rows, columns = checks.matrix(infos, _CODES)
    numbers = columns * per_element
    checks.floats(infos, _SCALES)
    due: tuple[int, ...]
    if scheme.strategy == "group":
        in_features, out_features = rows, numbers
        due = (checks.whole_groups(infos, _CODES, scheme.group_size, in_features), out_features)
        if infos[_SCALES].shape != due:
            raise checks.bad_shape(
                infos, _SCALES, f"{in_features} inputs in groups of {scheme.group_size} take {list(due)}"
            )
    else:
        out_features, in_features = rows, numbers
        due = (out_features,)
        if infos[_SCALES].shape not in (_ONE if scheme.strategy == "tensor" else (due,)):
            raise checks.bad_shape(
                infos, _SCALES, "expected one" + (f" for each of {out_features}" if scheme.strategy != "tensor" else "")
            )
    _check_zeros(scheme, infos, due)
    return Measured(out_features, in_features, infos[_SCALES].mlx_dtype)


def _check_zeros(scheme: Scheme, infos: Infos, due: tuple[int, ...]) -> None:
    if scheme.strategy == "tensor":
        if infos[_ZEROS].shape not in _ONE:
            raise checks.bad_shape(infos, _ZEROS, "expected one, as per_tensor has")
        return
    *groups, count = due
    _, per_element = _STORED[scheme.bits, _kind(scheme)]
    if count % per_element:
        name = "words" if scheme.bits == 4 else "bytes"
        raise checks.bad_shape(infos, _SCALES, f"{count} outputs do not fill {name} of {per_element}")
    packed = (*groups, count // per_element)
    if infos[_ZEROS].shape != packed:
        raise checks.bad_shape(infos, _ZEROS, f"{list(due)} zero points take {list(packed)}")


def decode(scheme: Scheme, tensors: Tensors) -> Integer:
    found = measure(scheme, checks.headers(tensors))
    checks.finite(tensors, _SCALES)
    scales = tensors[_SCALES]
    if scheme.strategy != "group":
        scales = mx.broadcast_to(scales.reshape(1, -1), (1, found.out_features))
    whole = scheme.strategy != "group" or scheme.group_size == -1
    return Integer(
        words=_words(scheme, tensors[_CODES]),
        zeros=_zeros(scheme, tensors[_ZEROS], found.out_features),
        scales=scales,
        bits=scheme.bits,
        in_features=found.in_features,
        group_size=found.in_features if whole else scheme.group_size,
    )


def _words(scheme: Scheme, stored: mx.array) -> mx.array | Words:
    """uint32 [out, ceil(in * bits / 32)]: the codes as a stream along ``in``, unsigned."""
    grouped = scheme.strategy == "group"
    if scheme.bits == 8:
        octets = stored.view(mx.uint8) ^ _sign(scheme)
        return rows_as_words(octets.T if grouped else octets)
    if scheme.bits == 2:
        return _along_inputs(_twos(scheme, _CODES, stored), 2, grouped)
    words = as_words(stored) ^ mx.array(_sign(scheme) * 0x11111111, mx.uint32)
    if grouped and stored.shape[0] % NIBBLES == 0:
        return Nibbles(words, _order(scheme))
    return _along_inputs(_in_order(scheme, words), 4, grouped)


def _along_inputs(fields: mx.array, bits: int, grouped: bool) -> mx.array:
    """Words of numbers uint8 [in, out] in groups, else [out, in]; zeros fill the last word of a row."""
    fields = fields.T if grouped else fields
    return pack(mx.contiguous(mx.pad(fields, [(0, 0), (0, -fields.shape[1] % (32 // bits))])), bits)


def _twos(scheme: Scheme, name: str, stored: mx.array) -> mx.array:
    """uint8 [rows, n] of numbers of 2 bits, counted from the least."""
    if _kind(scheme) == "uint":
        fields = unpack(mx.contiguous(mx.pad(stored, [(0, 0), (0, -stored.shape[1] % 4)])).view(mx.uint32), 2)
        fields = fields.reshape(len(stored), -1, 4)[..., ::-1].reshape(len(stored), -1)
        return fields[:, : stored.shape[1] * 4]
    low, high = read(stored.min(), stored.max())
    if low < -2 or high > 1:
        raise UnsupportedFormat("unsupported-layout", f"numbers from {low} to {high}; int2 has -2 to 1", where=name)
    return (stored + 2).astype(mx.uint8)


def _zeros(scheme: Scheme, stored: mx.array, out_features: int) -> mx.array:
    """uint8 [groups, out], shifted as the codes are."""
    if scheme.strategy == "tensor":
        if scheme.bits == 2:
            return mx.broadcast_to(_twos(scheme, _ZEROS, stored.reshape(1, 1)), (1, out_features))
        value = int(np.array(stored).item())
        least, limit = -_sign(scheme), 1 << scheme.bits
        # Quark's reader masks it to four bits, and then makes 253 of -3.
        if scheme.bits == 4 and not 0 <= value < limit + least:
            raise UnsupportedFormat(
                "unsupported-layout",
                f"one zero point for all is {value}, and Quark itself reads those from 0 to {limit + least - 1} alone",
                where=_ZEROS,
            )
        return mx.full((1, out_features), value - least, dtype=mx.uint8)
    rows = stored if scheme.strategy == "group" else stored[None]
    if scheme.bits == 8:
        return rows.view(mx.uint8) ^ _sign(scheme)
    if scheme.bits == 2:
        return _twos(scheme, _ZEROS, rows)
    return _in_order(scheme, as_words(mx.contiguous(rows))) ^ _sign(scheme)


def _in_order(scheme: Scheme, words: mx.array) -> mx.array:
    """uint8 [rows, 8 * n] of words [rows, n]."""
    fields = unpack(words, 4)
    places = mx.array([_order(scheme).index(number) for number in range(NIBBLES)])
    return mx.take(fields.reshape(len(fields), -1, NIBBLES), places, axis=-1).reshape(fields.shape)


def _order(scheme: Scheme) -> tuple[int, ...]:
    return ORDER if scheme.layout.endswith("-reorder") else tuple(range(NIBBLES))


def _kind(scheme: Scheme) -> str:
    return scheme.layout.partition("-")[0]


def _sign(scheme: Scheme) -> int:
    """What turns two's complement into numbers counted from the least one."""
    return 1 << (scheme.bits - 1) if _kind(scheme) == "int" else 0


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return list(scheme.notes)


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)
