"""AWQ, ``version: gemv_fast`` as AutoAWQ packs it, and ``backend: llm-awq``: 4 bits, 16-bit words, floats for zeros.

Formulas: autoawq 0.2.9, ``awq/modules/linear/gemv_fast.py``; llm-awq, commit d6e797a, ``awq/quantize/qmodule.py``; and
the kernel that reads both, AutoAWQ_kernels 0.0.9, ``awq_ext/quantization_new/gemv/gemv_cuda.cu``: a fused multiply-add
of a code, its scale and its scaled zero.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..config import Config, group_size, setting
from ..unpacked import Added, Refused, check_scales, check_shape
from .awq_gemv import awq_label, padded_groups

SLUG = "awq_gemv_fast"
# The first one marks a packed module.
LEAVES = ("qweight", "scales", "qzeros", "scaled_zeros")
NAMED = {"gemv_fast": "qzeros", "llm-awq": "scaled_zeros"}


def names(config: Config) -> bool:
    return awq_label(config) in NAMED


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Added:
    """Codes, scales, offsets and groups of one module; Refused where the formulas do not apply."""
    bits = setting(config, "bits", 4)
    if type(bits) is not int or bits != 4:
        raise Refused(f"{bits!r} bits, expected 4")
    own = ("qweight", "scales", NAMED[awq_label(config)])
    for name in own:
        if name not in tensors:
            raise Refused(f"{name} is missing")
    if unknown := sorted(tensors.keys() - {*own, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    qweight, scales, offsets = (tensors[name] for name in own)
    if qweight.dtype != torch.int16 or qweight.ndim != 2 or qweight.numel() == 0:
        raise Refused(f"qweight is {qweight.dtype} {tuple(qweight.shape)}, expected int16 and two axes, none empty")
    out, inputs = 4 * len(qweight), qweight.shape[1]
    size = group_size(config, 128)
    size = inputs if size == -1 else size
    room = padded_groups(-(-inputs // size), size)
    if inputs % size or inputs % 64:
        raise Refused(f"{inputs} inputs are no whole groups of {size}, or no blocks of 64")
    if offsets.dtype != scales.dtype:
        raise Refused(f"{own[2]} is {offsets.dtype}, and scales are {scales.dtype}")
    for name, tensor in (("scales", scales), (own[2], offsets)):
        check_shape(name, tensor, (room, out))
    scales, offsets = scales[: inputs // size], offsets[: inputs // size]
    check_scales(scales)
    check_scales(offsets)
    return Added(_codes(qweight), scales, offsets, torch.arange(inputs) // size)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The tensors AutoAWQ would store: ``q`` [out, in], ``z`` and ``s`` [groups, out]; groups are consecutive."""
    if g is not None:
        raise Refused("AWQ has no group index")
    groups = len(z)
    filling = (0, 0, 0, padded_groups(groups, q.shape[1] // groups) - groups)
    offsets = -(s.to(torch.float32) * z).to(s.dtype)
    pad = torch.nn.functional.pad
    return {
        "qweight": _words(q),
        "scales": pad(s, filling),
        NAMED[awq_label(config)]: pad(offsets, filling),
    }


def _order() -> list[int]:
    """The input of 32 that stands at each place."""
    eights = [list(range(first, 32, 8)) for first in range(8)]
    # Pairs of inputs, of which the first of each eight come together, and then the second ones.
    return [i for pair in range(4) for i in (*eights[2 * pair], *eights[2 * pair + 1])]


def _codes(words: torch.Tensor) -> torch.Tensor:
    """int32 [out, in] of int16 words [out / 4, in]."""
    wide = words.to(torch.int32) & 0xFFFF
    nibbles = torch.stack([(wide >> (4 * n)) & 15 for n in range(4)], dim=-1).flatten(1)
    found = torch.empty(4 * len(words), words.shape[1], dtype=torch.int32)
    for block in range(words.shape[1] // 64):
        for output in range(4):
            own = nibbles[:, 256 * block + 64 * output : 256 * block + 64 * (output + 1)]
            for half in range(2):
                inputs = [64 * block + 32 * half + i for i in _order()]
                found[output::4, inputs] = own[:, 32 * half : 32 * (half + 1)]
    return found


def _words(codes: torch.Tensor) -> torch.Tensor:
    """Inverse of :func:`_codes`."""
    out, inputs = codes.shape
    nibbles = torch.empty(out // 4, 4 * inputs, dtype=torch.int32)
    for block in range(inputs // 64):
        for output in range(4):
            for half in range(2):
                at = [64 * block + 32 * half + i for i in _order()]
                start = 256 * block + 64 * output + 32 * half
                nibbles[:, start : start + 32] = codes[output::4, at].to(torch.int32)
    total = torch.stack([nibbles[:, n::4] << (4 * n) for n in range(4)]).sum(dim=0)
    return torch.where(total >= 1 << 15, total - (1 << 16), total).to(torch.int16)
