"""What formats share: the unpacked form, its dense value, fields of words, and the refusal."""

from __future__ import annotations

from dataclasses import dataclass

import torch


class Refused(ValueError):
    """The input is not something the formulas define."""


@dataclass
class Unpacked:
    """Codes ``q`` int32 [out, in], zero points ``z`` int32 [groups, out], scales ``s`` [groups, out] in the dtype of
    the file, and the group ``g`` int64 [in] of every input channel."""

    q: torch.Tensor
    z: torch.Tensor
    s: torch.Tensor
    g: torch.Tensor

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """``W[o, i] = RN(s[g[i], o] * (q[o, i] - z[g[i], o]))`` [out, in], one rounding, in ``dtype`` or that of s.

        The product is formed in float64, where it is exact for every scale of at most 24 bits, then rounded. float64
        to float16 or bfloat16 goes through ``round_once`` because torch converts by way of float32, which rounds twice.
        """
        scales = self.s.T[:, self.g].to(torch.float64)
        difference = (self.q - self.z.T[:, self.g]).to(torch.float64)
        return round_once(scales * difference, dtype or self.s.dtype)


@dataclass
class Added:
    """Codes ``q`` int32 [out, in], scales ``s`` and offsets ``b`` [groups, out] in the dtype of the file, and the group
    ``g`` int64 [in] of every input channel."""

    q: torch.Tensor
    s: torch.Tensor
    b: torch.Tensor
    g: torch.Tensor

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """``W[o, i] = RN(q[o, i] * s[g[i], o] + b[g[i], o])`` [out, in], one rounding, in ``dtype`` or that of s.

        The product is exact in float64. Where the sum is not, its last bit is made odd, which stands for what was lost
        in the one rounding that follows.
        """
        products = self.s.T[:, self.g].to(torch.float64) * self.q
        offsets = self.b.T[:, self.g].to(torch.float64)
        sums = products + offsets
        part = sums - products
        lost = (products - (sums - part)) + (offsets - part)
        bits = sums.view(torch.int64)
        odd = torch.where((lost > 0) == (sums > 0), bits + 1, bits - 1)
        sums = torch.where((lost != 0) & (bits % 2 == 0), odd, bits).view(torch.float64)
        return round_once(sums, dtype or self.s.dtype)


def round_once(exact: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    if dtype in (torch.float64, torch.float32):
        return exact.to(dtype)
    single = exact.to(torch.float32)
    # Round to odd on the way: where float32 lost something and ended even, take the neighbour towards the lost part.
    lost = single.to(torch.float64) != exact
    bits = single.view(torch.int32)
    outwards = exact.abs() > single.to(torch.float64).abs()
    odd = torch.where(outwards, bits + 1, bits - 1)
    moved = torch.where(lost & (bits % 2 == 0) & single.isfinite(), odd, bits)
    return moved.view(torch.float32).to(dtype)


def field(words: torch.Tensor, index: int, bits: int) -> torch.Tensor:
    """Field ``index`` (0 lowest) of int32 words, ``bits`` dividing 32; int64 keeps the shift clear of the sign bit."""
    return ((words.to(torch.int64) & 0xFFFFFFFF) >> (bits * index)).to(torch.int32) & ((1 << bits) - 1)


def word(fields: list[torch.Tensor], bits: int) -> torch.Tensor:
    """int32 words of ``32 / bits`` int tensors, ``fields[0]`` lowest."""
    total = torch.zeros_like(fields[0], dtype=torch.int64)
    for index, value in enumerate(fields):
        total |= (value.to(torch.int64) & ((1 << bits) - 1)) << (bits * index)
    return signed(total)


def straddling(words: torch.Tensor, bits: int) -> torch.Tensor:
    """int32 fields of int32 words [rows, n]: field i starts at bit ``bits * i`` of its row, and may end in the next
    word."""
    wide = torch.cat([words.to(torch.int64) & 0xFFFFFFFF, torch.zeros(len(words), 1, dtype=torch.int64)], dim=1)
    start = bits * torch.arange(words.shape[1] * 32 // bits)
    at, shift = start // 32, start % 32
    low, high = wide[:, at] >> shift, wide[:, at + 1] << (32 - shift)
    return ((low | high) & ((1 << bits) - 1)).to(torch.int32)


def straddled(fields: torch.Tensor, bits: int) -> torch.Tensor:
    """Inverse of :func:`straddling`: int32 words [rows, ceil(m * bits / 32)] of fields [rows, m], filled with zeros."""
    rows, count = fields.shape
    stream = torch.zeros(rows, -(-count * bits // 32) * 32, dtype=torch.int64)
    for place in range(bits):
        stream[:, place : count * bits : bits] = (fields.to(torch.int64) >> place) & 1
    return signed((stream.view(rows, -1, 32) << torch.arange(32)).sum(dim=2))


def signed(words: torch.Tensor) -> torch.Tensor:
    """int64 words of 32 bits as int32."""
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)


def check_shape(name: str, tensor: torch.Tensor, expected: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != expected:
        raise Refused(f"{name} has shape {tuple(tensor.shape)}, expected {expected}")


def check_words(name: str, tensor: torch.Tensor) -> None:
    if tensor.dtype != torch.int32:
        raise Refused(f"{name} has dtype {tensor.dtype}, expected int32")
    if tensor.ndim != 2 or tensor.numel() == 0:
        raise Refused(f"{name} has shape {tuple(tensor.shape)}, expected two axes, none empty")


def check_scales(scales: torch.Tensor) -> None:
    if scales.dtype not in (torch.float16, torch.bfloat16, torch.float32):
        raise Refused(f"scales have dtype {scales.dtype}, expected float16, bfloat16 or float32")
    if not torch.isfinite(scales).all():
        raise Refused("scales are not all finite")
    if scales.ndim != 2:
        raise Refused(f"scales have shape {tuple(scales.shape)}, expected two axes")
