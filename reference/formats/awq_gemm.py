"""AWQ, 4 bits, ``version: gemm``.

Formulas: autoawq 0.2.9, ``awq/modules/linear/gemm.py`` (``from_linear``) and ``awq/utils/packing_utils.py``
(``unpack_awq``, ``reverse_awq_order``, ``dequantize_gemm``). Packed along the outputs, interleaved.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..config import Config, group_size, setting, written
from ..unpacked import Refused, Unpacked, check_scales, check_shape, check_words, field, word

SLUG = "awq"
# The first one marks a packed module.
LEAVES = ("qweight", "qzeros", "scales")

# The packer puts column ORDER[i] of each eight into nibble i.
ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def names(config: Config) -> bool:
    """Whether the config is of this format; ``quant_config.json`` of early AutoAWQ names no method."""
    method = setting(config, "quant_method")
    return method == SLUG if method else not {"zero_point", "w_bit"}.isdisjoint(written(config))


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Codes, zero points, scales and groups of one module; Refused where the formulas do not apply."""
    bits = setting(config, "bits", 4)
    if type(bits) is not int or bits != 4:
        raise Refused(f"{bits!r} bits, expected 4")
    layout = setting(config, "version", setting(config, "format", "gemm"))
    layout = "llm-awq" if written(config).get("backend") == "llm-awq" else layout
    if layout != "gemm":
        raise Refused(f"layout {layout}, expected gemm")
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
    size = group_size(config, 128)
    size = in_features if size == -1 else size
    if in_features % size:
        raise Refused(f"the group size {size} does not divide the {in_features} inputs")
    groups = in_features // size
    check_shape("qzeros", qzeros, (groups, columns))
    check_shape("scales", scales, (groups, columns * 8))

    q = torch.zeros(in_features, columns * 8, dtype=torch.int32)
    z = torch.zeros(groups, columns * 8, dtype=torch.int32)
    for i, column in enumerate(ORDER):
        q[:, column::8] = field(qweight, i, 4)
        z[:, column::8] = field(qzeros, i, 4)
    return Unpacked(q.T.contiguous(), z, scales, torch.arange(in_features) // size)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
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
