"""GPTQ in planes, ``gptq_p``, of 2 to 8 bits.

Formulas: GPTQModel 7.7.0, ``utils/planar_packing.py`` (``planar_pack_rows``, ``planar_unpack_rows``) and
``nn_modules/qlinear/__init__.py`` (``dequantize_weight``). Tensors in torch's [in, out] orientation: ``qweight`` packed
along the rows, ``qzeros`` along the columns; zero points as they are, as in version 2.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .. import autoround
from ..config import Config, group_size, setting
from ..unpacked import Refused, Unpacked, check_scales, check_shape, check_words, field, word

SLUG = "gptq_planar"
# The first one marks a packed module.
LEAVES = ("qweight", "qzeros", "scales", "g_idx")
# Width of each plane and the bit of a code at which it starts, the lowest first.
PLANES = {
    2: ((2, 0),),
    3: ((2, 0), (1, 2)),
    4: ((4, 0),),
    5: ((4, 0), (1, 4)),
    6: ((4, 0), (2, 4)),
    7: ((4, 0), (2, 4), (1, 6)),
    8: ((8, 0),),
}


def names(config: Config) -> bool:
    label = setting(config, "format") if not config.get("is_marlin_format") else "marlin"
    return not autoround.wrote(config) and setting(config, "quant_method", "gptq") == "gptq" and label == "gptq_p"


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Codes, zero points, scales and groups of one module; Refused where the formulas do not apply."""
    bits, size = setting(config, "bits"), group_size(config, -1)
    if type(bits) is not int or bits not in PLANES:
        raise Refused(f"{bits!r} bits, expected 2 to 8")
    for name in ("qweight", "qzeros", "scales"):
        if name not in tensors:
            raise Refused(f"{name} is missing")
    qweight, qzeros, scales = (tensors[name] for name in ("qweight", "qzeros", "scales"))
    check_words("qweight", qweight)
    check_words("qzeros", qzeros)
    check_scales(scales)
    rows, out = qweight.shape
    inputs = rows * 32 // bits
    g_idx = tensors.get("g_idx")
    if g_idx is not None:
        if g_idx.ndim != 1 or g_idx.dtype != torch.int32:
            raise Refused(f"g_idx has shape {tuple(g_idx.shape)} and dtype {g_idx.dtype}, expected one axis of int32")
        inputs = len(g_idx)
    elif size != -1:
        # A width of one plane may have its last word filled up.
        inputs = min(inputs, len(scales) * size)
    if -(-inputs * bits // 32) != rows or (len(PLANES[bits]) > 1 and (inputs % 32 or out % 32)):
        raise Refused(f"{rows} rows of words do not hold {inputs} inputs of {bits} bits, {out} outputs wide")
    size = inputs if size == -1 else size
    groups = -(-inputs // size)
    check_shape("scales", scales, (groups, out))
    check_shape("qzeros", qzeros, (groups, -(-out * bits // 32)))
    if g_idx is None and config.get("desc_act") and not config.get("static_groups") and groups > 1:
        raise Refused("desc_act is true and g_idx is missing: which inputs form a group is not known")
    g = torch.arange(inputs) // size if g_idx is None else g_idx.to(torch.int64)
    if g.min() < 0 or g.max() >= groups:
        raise Refused(f"g_idx runs from {int(g.min())} to {int(g.max())}, expected 0 to {groups - 1}")
    q = _fields(qweight, bits)[:inputs].T.contiguous()
    return Unpacked(q, _fields(qzeros.T, bits)[:out].T.contiguous(), scales, g)


def _fields(words: torch.Tensor, bits: int) -> torch.Tensor:
    """int32 fields of words [rows, columns], packed along the rows: 32 fields are ``bits`` words, planes in turn."""
    rows, columns = words.shape
    if len(PLANES[bits]) == 1:
        found = torch.zeros(rows * (32 // bits), columns, dtype=torch.int32)
        for j in range(32 // bits):
            found[j :: 32 // bits] = field(words, j, bits)
        return found
    found = torch.zeros(rows // bits * 32, columns, dtype=torch.int32)
    first = 0
    for width, offset in PLANES[bits]:
        each = 32 // width
        for number in range(width):
            for j in range(each):
                found[number * each + j :: 32] |= field(words[first + number :: bits], j, width) << offset
        first += width
    return found


def _words(fields: torch.Tensor, bits: int) -> torch.Tensor:
    """Inverse of :func:`_fields`: int32 [ceil(rows * bits / 32), columns]; one plane may be filled up with zeros."""
    rows, columns = fields.shape
    if len(PLANES[bits]) == 1:
        each = 32 // bits
        padded = torch.zeros(-(-rows // each) * each, columns, dtype=torch.int32)
        padded[:rows] = fields
        return word([padded[j::each] for j in range(each)], bits)
    if rows % 32:
        raise Refused(f"{rows} fields are no whole blocks of 32")
    found = torch.zeros(rows // 32 * bits, columns, dtype=torch.int32)
    first = 0
    for width, offset in PLANES[bits]:
        each = 32 // width
        for number in range(width):
            parts = [fields[number * each + j :: 32] >> offset for j in range(each)]
            found[first + number :: bits] = word(parts, width)
        first += width
    return found


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The tensors that the producer stores for ``q`` [out, in], ``z`` and ``s`` [groups, out], ``g`` [in] or None."""
    bits = setting(config, "bits")
    qzeros = _words(z.T, bits).T.contiguous()
    tensors = {"qweight": _words(q.T, bits), "qzeros": qzeros, "scales": s}
    return tensors if g is None else tensors | {"g_idx": g.to(torch.int32)}
