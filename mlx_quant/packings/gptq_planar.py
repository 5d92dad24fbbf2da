"""GPTQ in planes of bits, as GPTQModel writes it under ``format: gptq_p``.

On disk: the tensors of GPTQ version 2, of the same shapes. Of each 32 codes along ``in``, and of each 32 zero points
along ``out``, the lowest bits lie in the first words and higher ones in the words that follow: planes of 4 and 1, 4 and
2, or 4, 2 and 1 bits at 5, 6 and 7 bits, and of 2 and 1 bits at 3. Each plane packs its 32 fields from the lowest bit
on, so none crosses a word. Widths of one plane, 2, 4 and 8 bits, lie as in every other GPTQ. Zero points are stored as
they are. Source: gptqmodel 7.7.0, ``utils/planar_packing.py`` and ``nn_modules/qlinear``.
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..weights.bits import as_array, as_words, pack, unpack, unpack_few, words_for
from ..weights.host import extremes
from ..weights.integer import Integer
from ..weights.words import Columns, Words
from . import checks
from .protocol import Infos, Measured, Status, Tensors

ID = "gptq_planar"
TITLE = "GPTQ (planar)"
STATUS: Status = "enabled"
BITS = (2, 3, 4, 5, 6, 7, 8)
LAYOUTS = ("gptq_p",)
MARKS = (".qweight", ".qzeros", ".scales", ".g_idx")
TENSORS = MARKS

_REQUIRED = ("qweight", "qzeros", "scales")
# Widths of planes from the lowest bit on, where there is more than one.
_PLANES = {3: (2, 1), 5: (4, 1), 6: (4, 2), 7: (4, 2, 1)}
_BLOCK = 32


def recognises(infos: Infos) -> bool:
    if not {"qweight", "scales"} <= infos.keys() or infos["qweight"].dtype not in checks.WORDS:
        return False
    qweight, scales = infos["qweight"].shape, infos["scales"].shape
    return len(qweight) == len(scales) == 2 and qweight[1] == scales[1]


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS)
    checks.present(infos, _REQUIRED, TENSORS)
    rows, out_features = checks.words(infos, "qweight")
    if checks.scales(infos)[1] != out_features:
        raise checks.bad_shape(infos, "qweight", f"scales have {infos['scales'].shape[1]} columns, one for each output")
    in_features = checks.inputs(infos, "qweight", rows, scheme.bits, scheme.group_size)
    if scheme.bits in _PLANES and (in_features % _BLOCK or out_features % _BLOCK):
        raise checks.bad_shape(
            infos, "qweight", f"{in_features} inputs and {out_features} outputs are no whole blocks of {_BLOCK}"
        )
    _, groups = checks.groups(infos, scheme.group_size, in_features)
    checks.mapped(scheme, infos, groups)
    expected = (groups, words_for(out_features, scheme.bits))
    if checks.words(infos, "qzeros") != expected:
        raise checks.bad_shape(infos, "qzeros", f"{groups} groups of {out_features} zero points take {list(expected)}")
    return Measured(out_features, in_features, infos["scales"].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Integer:
    found = measure(scheme, checks.headers(tensors))
    checks.finite(tensors)
    groups = tensors["scales"].shape[0]
    size = found.in_features if groups == 1 else scheme.group_size
    return Integer(
        words=_words(as_words(tensors["qweight"]), scheme.bits),
        zeros=_zeros(scheme, tensors),
        scales=tensors["scales"],
        bits=scheme.bits,
        in_features=found.in_features,
        group_size=size,
        group_index=checks.group_index(tensors.get("g_idx"), found.in_features, size, groups),
    )


def _words(stored: mx.array, bits: int) -> mx.array | Words:
    """The codes as one stream along ``in``, uint32 [out, in * bits / 32], of words [in * bits / 32, out]."""
    if bits not in _PLANES:
        return Columns(stored)
    return pack(_fields(mx.contiguous(stored.T), bits), bits)


def _zeros(scheme: Scheme, tensors: Tensors) -> mx.array:
    """uint8 [groups, out]."""
    words = as_words(tensors["qzeros"])
    if scheme.bits in _PLANES:
        return _fields(words, scheme.bits)
    return as_array(unpack_few(words, scheme.bits, tensors["scales"].shape[1]))


def _fields(words: mx.array, bits: int) -> mx.array:
    """uint8 [rows, 32 * blocks] of words [rows, bits * blocks] in planes."""
    blocks = words.reshape(words.shape[0], -1, bits)
    found, offset, first = mx.array(0, mx.uint8), 0, 0
    for width in _PLANES[bits]:
        plane = unpack(mx.contiguous(blocks[..., first : first + width]), width)
        found = found | (plane << offset)
        offset, first = offset + width, first + width
    return found.reshape(words.shape[0], -1)


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    (low, high), middle = extremes(_zeros(scheme, tensors)), 1 << (scheme.bits - 1)
    if scheme.sym and not low == high == middle:
        return [f"sym is true, yet zero points are {low} to {high}; decoded as stored"]
    return []


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    """Group indices as ``desc_act`` promises them, everything else zero."""
    info = infos[leaf]
    if leaf == "g_idx":
        return checks.group_map(info, scheme.group_size, ordered=scheme.desc_act and not scheme.static_groups)
    return mx.zeros(info.shape, info.mlx_dtype)
