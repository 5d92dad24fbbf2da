"""AQLM: codes of blocks, which are sums of entries of codebooks, and a scale for each row of blocks.

Formula: aqlm 1.1.7, ``utils.py``: ``unpack_int_data`` takes codes modulo the number of entries; ``_dequantize_weight``
looks them up with ``F.embedding_bag(..., mode="sum")``, which adds in float32 and rounds the sum to the dtype of the
codebooks, and multiplies with the scales in that dtype. A sum in the middle between two bfloat16 is rounded to the even
one, as everywhere but in the CPU's embedding_bag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..config import Config, setting
from ..unpacked import Refused, check_shape

SLUG = "aqlm"
LEAVES = ("codes", "codebooks", "scales")
MARKS = LEAVES[:2]
WIDTHS = range(1, 17)
DEFAULTS = {"num_codebooks": 1, "nbits_per_codebook": 16, "out_group_size": 1, "in_group_size": 8}
_FLOATS = (torch.float16, torch.bfloat16, torch.float32)


@dataclass
class Sum:
    """Codes int64 [row blocks, column blocks, n], ``tables`` [n, entries, rows, columns], scales [row blocks, 1, 1, 1]
    in one dtype."""

    codes: torch.Tensor
    tables: torch.Tensor
    scales: torch.Tensor

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """``W`` [out, in], by three roundings of the format's own dtype, then cast."""
        total = torch.zeros(*self.codes.shape[:2], *self.tables.shape[2:], dtype=torch.float32)
        for number in range(self.codes.shape[2]):
            total += self.tables[number, self.codes[:, :, number]].to(torch.float32)
        blocks = total.to(self.tables.dtype) * self.scales
        out = blocks.shape[0] * blocks.shape[2]
        return blocks.permute(0, 2, 1, 3).reshape(out, -1).to(dtype or self.tables.dtype)


def names(config: Config) -> bool:
    return str(setting(config, "quant_method")).lower() == "aqlm"


def sizes(config: Config) -> dict[str, int]:
    """What is said of codebooks, and transformers' own numbers for what is not."""
    found = {key: config.get(key, default) for key, default in DEFAULTS.items()}
    if wrong := {key: value for key, value in found.items() if type(value) is not int or value < 1}:
        raise Refused(f"{wrong}, expected positive integers")
    if found["nbits_per_codebook"] not in WIDTHS:
        raise Refused(f"codes of {found['nbits_per_codebook']} bits, expected 1 to 16")
    return found


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Sum:
    """Codes, codebooks and scales of one module; Refused where the formula does not apply."""
    said = sizes(config)
    if unknown := sorted(tensors.keys() - {*LEAVES, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    if missing := [name for name in LEAVES if name not in tensors]:
        raise Refused(f"{missing[0]} is missing")
    codes, tables, scales = (tensors[name] for name in LEAVES)
    if tables.dtype not in _FLOATS or scales.dtype != tables.dtype:
        raise Refused(f"codebooks are {tables.dtype} and scales {scales.dtype}, expected floats of one dtype")
    if not tables.isfinite().all() or not scales.isfinite().all():
        raise Refused("codebooks or scales are not all finite")
    bits, books = said["nbits_per_codebook"], said["num_codebooks"]
    if codes.dtype != (torch.int8 if bits <= 8 else torch.int16):
        raise Refused(f"codes of {bits} bits are {codes.dtype}")
    check_shape("codebooks", tables, (books, 2**bits, said["out_group_size"], said["in_group_size"]))
    if codes.ndim != 3 or codes.numel() == 0 or codes.shape[2] != books:
        raise Refused(f"codes have shape {tuple(codes.shape)}, expected {books} for each block")
    check_shape("scales", scales, (len(codes), 1, 1, 1))
    return Sum(codes.to(torch.int64) % 2**bits, tables, scales)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """Blocks of one weight: codes ``q`` [out, in] stand for themselves in one codebook, ``s`` [1, out] are scales."""
    bits = sizes(config)["nbits_per_codebook"]
    wrapped = torch.where(q >= 2 ** (bits - 1), q - 2**bits, q)
    made: dict[str, Any] = {
        "codes": wrapped.to(torch.int8 if bits <= 8 else torch.int16)[:, :, None],
        "codebooks": torch.arange(2**bits).reshape(1, -1, 1, 1).to(s.dtype),
        "scales": s.reshape(-1, 1, 1, 1),
    }
    return made
