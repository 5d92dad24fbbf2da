"""AWQ, 4 bits, ``version: gemm``.

Formulas: autoawq 0.2.9, ``awq/modules/linear/gemm.py`` (``from_linear``) and ``awq/utils/packing_utils.py``
(``unpack_awq``, ``reverse_awq_order``, ``dequantize_gemm``). Packed along the outputs, interleaved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..unpacked import Refused, Unpacked, check_scales, check_shape, check_words, field, first, word

SLUG = "awq"
LEAVES = ("qweight", "qzeros", "scales")

# The packer puts column ORDER[i] of each eight into nibble i.
ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def names(config: Mapping[str, Any]) -> bool:
    """Whether the config is of this format; ``quant_config.json`` of early AutoAWQ names no method."""
    method = str(config.get("quant_method") or config.get("method") or "").lower()
    return method == "awq" or (not method and ("zero_point" in config or "w_bit" in config))


def unpack(config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Codes, zero points, scales and groups of one module; Refused where the formulas do not apply."""
    if first(config, "bits", "w_bit", default=4) != 4:
        raise Refused("only 4 bits")
    layout = "llm-awq" if config.get("backend") else config.get("version") or config.get("format") or "gemm"
    if str(layout).lower() != "gemm":
        raise Refused(f"layout {layout}")
    for name in ("qweight", "qzeros", "scales"):
        if name not in tensors:
            raise Refused(f"{name} is missing")
    if "g_idx" in tensors:
        raise Refused("AWQ has no group index")
    for name in ("qweight", "qzeros"):
        check_words(name, tensors[name])
    qweight, qzeros, scales = tensors["qweight"], tensors["qzeros"], tensors["scales"]
    check_scales(scales)
    in_features, columns = qweight.shape
    group_size = first(config, "group_size", "q_group_size", default=128)
    group_size = in_features if group_size == -1 else group_size
    if in_features % group_size:
        raise Refused("the group size does not divide the inputs")
    groups = in_features // group_size
    check_shape("qzeros", qzeros, (groups, columns))
    check_shape("scales", scales, (groups, columns * 8))

    q = torch.zeros(in_features, columns * 8, dtype=torch.int32)
    z = torch.zeros(groups, columns * 8, dtype=torch.int32)
    for i, column in enumerate(ORDER):
        q[:, column::8] = field(qweight, i, 4)
        z[:, column::8] = field(qzeros, i, 4)
    return Unpacked(q.T.contiguous(), z, scales, torch.arange(in_features) // group_size)


def pack(
    config: Mapping[str, Any], q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The tensors AutoAWQ would store: ``q`` [out, in], ``z`` and ``s`` [groups, out]; groups are consecutive."""
    if g is not None:
        raise Refused("AWQ has no group index")
    codes = q.T
    return {
        "qweight": word([codes[:, column::8] for column in ORDER], 4),
        "qzeros": word([z[:, column::8] for column in ORDER], 4),
        "scales": s,
    }
