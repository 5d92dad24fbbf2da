"""Marlin's tiles as AutoGPTQ writes them (``is_marlin_format``) and AutoAWQ (``version: marlin``): 4 bits, symmetric.

On disk: ``B`` int32 [in / 16, 2 * out] and ``s`` [groups, out] of AutoGPTQ; ``qweight`` and ``scales`` of AutoAWQ are
the same. A row of words holds 16 inputs of all outputs, each 64 of which are 128 words. Word ``4 * lane + j`` of them
has eight codes of the ``j``-th 16 outputs: lane ``4 * (n % 8) + (k % 8) // 2`` has output ``n`` and input ``k`` of the
16 there are of each, and nibble ``4 * (k % 2) + 2 * (n // 8) + k // 8`` is that code. The zero point is 8. Scales of
several groups are transposed by 8 x 8 in each 64; those of one group lie in each 32 as pairs, (0, 1), (8, 9), (16, 17),
(24, 25), then (2, 3) and so on. Source: auto_gptq 0.7.1, ``nn_modules/qlinear/qlinear_marlin.py``; autoawq 0.2.9,
``awq/modules/linear/marlin.py``.
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..errors import UnsupportedFormat
from ..weights.bits import as_words, pack, unpack
from ..weights.integer import Integer
from . import checks
from .protocol import Infos, Measured, Status, Tensors, Traits

ID = "gptq_marlin"
TITLE = "Marlin (AutoGPTQ, AutoAWQ)"
STATUS: Status = "enabled"
BITS = (4,)
# Label to the names of codes and scales.
_NAMED = {"marlin": ("B", "s"), "awq_marlin": ("qweight", "scales")}
LAYOUTS = tuple(_NAMED)
MARKS = (".B", ".qweight", ".scales")
TENSORS = (".B", ".s", ".qweight", ".scales")
# Other models have a tensor B of their own.
TRAITS = Traits(partners={".B": ".s"})

_TILE, _OUTPUTS = 16, 64
_ZERO = 8


def recognises(infos: Infos) -> bool:
    for codes, scales in _NAMED.values():
        if {codes, scales} <= infos.keys() and infos[codes].dtype in checks.WORDS and "qzeros" not in infos:
            words, factors = infos[codes].shape, infos[scales].shape
            return len(words) == len(factors) == 2 and words[1] == 2 * factors[1]
    return False


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS)
    codes, scales = _NAMED[scheme.layout]
    if "qweight" in infos and (codes not in infos or "qzeros" in infos):
        raise UnsupportedFormat(
            "unsupported-layout",
            "GPTQModel says marlin of what it stores as plain GPTQ or AWQ, which these tensors are; correct the label",
            where="qweight",
        )
    if scheme.sym is False or scheme.desc_act:
        raise UnsupportedFormat(
            "unsupported-layout",
            "Marlin's tiles hold neither zero points nor a map of groups, and the configuration promises one",
            where="desc_act" if scheme.desc_act else "sym",
        )
    checks.present(infos, (codes, scales), (f".{codes}", f".{scales}"))
    rows, columns = checks.words(infos, codes)
    in_features, out_features = rows * _TILE, columns // 2
    checks.scales(infos, scales)
    if columns % (2 * _OUTPUTS):
        raise checks.bad_shape(infos, codes, f"{columns} columns are no whole tiles of {_OUTPUTS} outputs")
    if infos[scales].shape[1] != out_features:
        raise checks.bad_shape(infos, scales, f"expected a column for each of {out_features} outputs")
    checks.whole_groups(infos, codes, scheme.group_size, in_features)
    checks.groups(infos, scheme.group_size, in_features, scales)
    return Measured(out_features, in_features, infos[scales].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Integer:
    found = measure(scheme, checks.headers(tensors))
    codes, scales = _NAMED[scheme.layout]
    checks.finite(tensors, scales)
    factors = _scales(tensors[scales])
    return Integer(
        words=_words(as_words(tensors[codes]), found.out_features),
        zeros=mx.full(factors.shape, _ZERO, dtype=mx.uint8),
        scales=factors,
        bits=scheme.bits,
        in_features=found.in_features,
        group_size=found.in_features // len(factors),
    )


def _words(stored: mx.array, out_features: int) -> mx.array:
    """uint32 [out, in / 8], lazy."""
    # [16 inputs, 64 outputs, output of 8, pair of inputs, 16 outputs, input of pair, which 8 outputs, which 8 inputs]
    codes = unpack(mx.contiguous(stored), 4).reshape(stored.shape[0], -1, 8, 4, 4, 2, 2, 2)
    return pack(mx.contiguous(codes.transpose(1, 4, 6, 2, 0, 7, 3, 5)).reshape(out_features, -1), 4)


def _scales(stored: mx.array) -> mx.array:
    """[groups, out] in the order of the outputs."""
    groups = stored.shape[0]
    if groups > 1:
        return mx.contiguous(stored.reshape(groups, -1, 8, 8).transpose(0, 1, 3, 2)).reshape(stored.shape)
    return mx.contiguous(stored.reshape(1, -1, 4, 4, 2).transpose(0, 1, 3, 2, 4)).reshape(stored.shape)


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return []  # no label of this packing contradicts its data


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)
