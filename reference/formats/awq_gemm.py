"""AWQ, ``version: gemm``: 4 bits; from AutoRound also 5, 6 and 7, from GPTQModel also 2, 3, 5, 6, 7 and 8.

Formulas: autoawq 0.2.9, ``awq/modules/linear/gemm.py`` (``from_linear``) and ``awq/utils/packing_utils.py``
(``unpack_awq``, ``reverse_awq_order``, ``dequantize_gemm``); auto-round 0.16.1, ``utils/bit_packing.py``; gptqmodel
7.7.0, ``quantization/awq/utils/packing_utils.py``. Packed along the outputs; interleaved, but not by GPTQModel at
other widths than 4.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .. import autoround
from ..config import Config, group_size, setting
from ..unpacked import Refused, Unpacked, check_scales, check_shape, check_words, straddled, straddling
from .awq_gemv import awq_label

SLUG = "awq"
# The first one marks a packed module.
LEAVES = ("qweight", "qzeros", "scales")

# The packer puts column ORDER[i] of each eight into nibble i.
ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def names(config: Config) -> bool:
    """Whether the config is of this format; ``quant_config.json`` of early AutoAWQ names no method."""
    if autoround.wrote(config):
        return "awq" in autoround.label(config)
    return awq_label(config) not in ("", "gemv", "gemv_fast", "llm-awq")


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Codes, zero points, scales and groups of one module; Refused where the formulas do not apply."""
    bits = _bits(config)
    if autoround.wrote(config):
        autoround.check(config)
        if (said := autoround.label(config)) not in ("auto_round:auto_awq", "auto_round:awq"):
            raise Refused(f"packing_format {said}, expected auto_round:auto_awq")
    if (layout := awq_label(config) or "gemm") != "gemm":
        raise Refused(f"layout {layout}, expected gemm")
    for name in ("qweight", "qzeros", "scales"):
        if name not in tensors:
            raise Refused(f"{name} is missing")
    if "g_idx" in tensors:
        raise Refused("AWQ has no group index")
    if "pairs" in tensors:
        raise Refused("inputs are turned in pairs, as ParoQuant's are")
    for name in ("qweight", "qzeros"):
        check_words(name, tensors[name])
    qweight, qzeros, scales = tensors["qweight"], tensors["qzeros"], tensors["scales"]
    check_scales(scales)
    in_features, columns = qweight.shape
    out = scales.shape[1]
    size = group_size(config, 128)
    size = in_features if size == -1 else size
    if in_features % size:
        raise Refused(f"the group size {size} does not divide the {in_features} inputs")
    groups = in_features // size
    check_shape("qweight", qweight, (in_features, -(-out * bits // 32)))
    check_shape("qzeros", qzeros, (groups, columns))
    check_shape("scales", scales, (groups, out))
    q, z = (_fields(words, bits, out, interleaved=_interleaved(config, bits)) for words in (qweight, qzeros))
    return Unpacked(q.T.contiguous(), z, scales, torch.arange(in_features) // size)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The tensors AutoAWQ would store: ``q`` [out, in], ``z`` and ``s`` [groups, out]; groups are consecutive."""
    if g is not None:
        raise Refused("AWQ has no group index")
    bits = _bits(config)
    codes, zeros = q.T, z
    if _interleaved(config, bits):
        order = [8 * (column // 8) + ORDER[column % 8] for column in range(codes.shape[1])]
        codes, zeros = codes[:, order], zeros[:, order]
    return {"qweight": straddled(codes, bits), "qzeros": straddled(zeros, bits), "scales": s}


def _bits(config: Config) -> int:
    bits = setting(config, "bits", 4)
    widths = (4, 5, 6, 7) if autoround.wrote(config) else range(2, 9)
    if type(bits) is not int or bits not in widths:
        raise Refused(f"{bits!r} bits, expected one of {tuple(widths)}")
    return bits


def _interleaved(config: Config, bits: int) -> bool:
    return bits == 4 or autoround.wrote(config)


def _fields(words: torch.Tensor, bits: int, out: int, interleaved: bool) -> torch.Tensor:
    """int32 [rows, out], in the order of the outputs."""
    stored = straddling(words, bits)[:, :out]
    if not interleaved:
        return stored
    if out % 8:
        raise Refused(f"{out} outputs do not interleave by eights")
    found = torch.zeros_like(stored)
    for i, column in enumerate(ORDER):
        found[:, column::8] = stored[:, i::8]
    return found
