"""AWQ, ``version: gemv``: 4 bits, codes along the inputs and zero points along the groups, as AutoAWQ packs them.

Formulas: autoawq 0.2.9, ``awq/modules/linear/gemv.py`` (``calculate_zeros_width``, ``from_linear``), and the kernels
that read it, AutoAWQ_kernels 0.0.9, ``awq_ext/quantization/gemv_cuda.cu``: a float32 scale times the difference.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .. import autoround
from ..config import Config, group_size, setting, written
from ..unpacked import Refused, Unpacked, check_scales, check_shape, check_words, field, word

SLUG = "awq_gemv"
# The first one marks a packed module.
LEAVES = ("qweight", "qzeros", "scales")


def awq_label(config: Config) -> str:
    """Which of AWQ's packings a config names: its backend or version in lower case, gemm without any; else empty."""
    method = setting(config, "quant_method")
    # quant_config.json of early AutoAWQ names no method.
    if autoround.wrote(config) or not (
        method == "awq" or (not method and {"zero_point", "w_bit"} & set(written(config)))
    ):
        return ""
    named = setting(config, "version", setting(config, "format", "gemm"))
    named = "llm-awq" if str(written(config).get("backend")).replace("_", "-") == "llm-awq" else str(named)
    return {"gemvfast": "gemv_fast", "gemv-fast": "gemv_fast"}.get(named, named)


def padded_groups(groups: int, size: int) -> int:
    """Groups that AutoAWQ's gemv makes room for: words of eight, in ones, twos or fours by group size."""
    if size < 128 and size not in (32, 64):
        raise Refused(f"groups of {size} are padded by no rule")
    words = 1 if size >= 128 else 128 // size
    return -(-groups // (8 * words)) * 8 * words


def names(config: Config) -> bool:
    return awq_label(config) == "gemv"


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Codes, zero points, scales and groups of one module; Refused where the formulas do not apply."""
    bits = setting(config, "bits", 4)
    if type(bits) is not int or bits != 4:
        raise Refused(f"{bits!r} bits, expected 4")
    for name in LEAVES:
        if name not in tensors:
            raise Refused(f"{name} is missing")
    if unknown := sorted(tensors.keys() - {*LEAVES, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    qweight, qzeros, scales = (tensors[name] for name in LEAVES)
    for name in ("qweight", "qzeros"):
        check_words(name, tensors[name])
    out, inputs = len(qweight), 8 * qweight.shape[1]
    size = group_size(config, 128)
    size = inputs if size == -1 else size
    room = padded_groups(-(-inputs // size), size)
    if inputs % size:
        raise Refused(f"the group size {size} does not divide the {inputs} inputs")
    groups = inputs // size
    check_shape("qzeros", qzeros, (out, room // 8))
    check_shape("scales", scales, (out, room))
    live = scales[:, :groups].T.contiguous()
    check_scales(live)
    return Unpacked(_nibbles(qweight), _nibbles(qzeros)[:, :groups].T.contiguous(), live, torch.arange(inputs) // size)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The tensors AutoAWQ would store: ``q`` [out, in], ``z`` and ``s`` [groups, out]; groups are consecutive."""
    if g is not None:
        raise Refused("AWQ has no group index")
    groups = len(z)
    room = padded_groups(groups, q.shape[1] // groups)
    zeros, scales = (torch.nn.functional.pad(values.T, (0, room - groups)) for values in (z, s))
    return {"qweight": _words(q), "qzeros": _words(zeros), "scales": scales.contiguous()}


def _nibbles(words: torch.Tensor) -> torch.Tensor:
    """int32 [rows, 8 * n] of int32 words [rows, n], lowest first."""
    return torch.stack([field(words, index, 4) for index in range(8)], dim=-1).flatten(1)


def _words(nibbles: torch.Tensor) -> torch.Tensor:
    return word([nibbles[:, index::8] for index in range(8)], 4)
