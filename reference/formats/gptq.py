"""GPTQ, versions 1 and 2, of 2, 3, 4 and 8 bits.

Formulas: auto_gptq 0.7.1, ``nn_modules/qlinear/qlinear_cuda.py`` and ``qlinear_cuda_old.py`` (``pack`` and the CPU
branch of ``forward``); version 2 and the subtractions: GPTQModel 7.7.0, ``utils/model.py``. Tensors in torch's
[in, out] orientation: ``qweight`` packed along the rows, ``qzeros`` along the columns. Which reader is followed where
they disagree: docs/policies.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from ..unpacked import (
    Refused,
    Unpacked,
    check_scales,
    check_shape,
    check_words,
    field,
    first,
    signed,
    word,
)

SLUG = "gptq"
LEAVES = ("qweight", "qzeros", "scales", "g_idx")
WIDTHS = (2, 3, 4, 8)

# Ones in every field, for the widths whose fields stay within their word.
ONES = {2: 0x55555555, 4: 0x11111111, 8: 0x01010101}
# What GPTQModel before 7.0 took for ones in every field of 3 bits, word by word; the first and the third are swapped.
NEARLY_ONES = (0x24924924, 0x92492492, 0x49249249)


def names(config: Mapping[str, Any]) -> bool:
    """Whether the config is of this format; ``quantize_config.json`` of early AutoGPTQ names no method."""
    method = str(config.get("quant_method") or config.get("method") or "").lower()
    return method == "gptq" or (not method and "w_bit" not in config and "desc_act" in config)


def unpack(config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Codes, zero points, scales and groups of one module; Refused where the formulas do not apply."""
    bits = first(config, "bits", "w_bit", "wbits")
    if isinstance(bits, bool) or bits not in WIDTHS:
        raise Refused(f"{bits!r} bits")
    label = _label(config)
    for name in ("qweight", "scales"):
        if name not in tensors:
            raise Refused(f"{name} is missing")
    for name in ("qweight", "qzeros"):
        if name in tensors:
            check_words(name, tensors[name])
    qweight, scales = tensors["qweight"], tensors["scales"]
    check_scales(scales)
    rows, out = qweight.shape
    g_idx = tensors.get("g_idx")
    if g_idx is not None and g_idx.ndim != 1:
        raise Refused(f"g_idx has shape {tuple(g_idx.shape)}, expected one axis")
    in_features = rows * 32 // bits if g_idx is None else len(g_idx)
    if -(-in_features * bits // 32) != rows:
        raise Refused("g_idx and qweight disagree on the input count")
    group_size = first(config, "group_size", "q_group_size", default=-1)
    group_size = in_features if group_size == -1 else group_size
    groups = -(-in_features // group_size)
    check_shape("scales", scales, (groups, out))

    q = _fields(qweight, bits)[:in_features].T.contiguous()
    z = _zeros(config, bits, label, tensors.get("qzeros"), groups, out)
    if g_idx is None and config.get("desc_act") and not config.get("static_groups") and groups > 1:
        raise Refused("desc_act without g_idx")
    g = torch.arange(in_features) // group_size if g_idx is None else g_idx.to(torch.int64)
    if g.min() < 0 or g.max() >= groups:
        raise Refused("g_idx names a group that does not exist")
    return Unpacked(q, z, scales, g)


def _label(config: Mapping[str, Any]) -> str:
    if config.get("is_marlin_format"):
        raise Refused("layout marlin")
    label = str(first(config, "format", "checkpoint_format", default="gptq")).lower()
    if label not in ("gptq", "gptq_v2"):
        raise Refused(f"layout {label}")
    return label


def _fields(words: torch.Tensor, bits: int) -> torch.Tensor:
    """int32 fields of words [rows, columns], packed along the rows; fields of a word that is not full come last."""
    rows, columns = words.shape
    if bits != 3:
        found = torch.zeros(rows * (32 // bits), columns, dtype=torch.int32)
        for j in range(32 // bits):
            found[j :: 32 // bits] = field(words, j, bits)
        return found
    # Three words hold ten fields, a broken one, ten, a broken one and ten, as auto_gptq's pack writes them.
    triples = torch.zeros(-(-rows // 3) * 3, columns, dtype=torch.int64)
    triples[:rows] = words.to(torch.int64) & 0xFFFFFFFF
    found = torch.zeros(len(triples) // 3 * 32, columns, dtype=torch.int32)
    one, two, three = triples[0::3], triples[1::3], triples[2::3]
    for j in range(10):
        found[j::32] = ((one >> (3 * j)) & 7).to(torch.int32)
        found[11 + j :: 32] = ((two >> (3 * j + 1)) & 7).to(torch.int32)
        found[22 + j :: 32] = ((three >> (3 * j + 2)) & 7).to(torch.int32)
    found[10::32] = ((one >> 30) | ((two & 1) << 2)).to(torch.int32)
    found[21::32] = ((two >> 31) | ((three & 3) << 1)).to(torch.int32)
    return found[: rows * 32 // 3]


def _words(fields: torch.Tensor, bits: int) -> torch.Tensor:
    """Inverse of :func:`_fields`, filled up with zeros: int32 [ceil(rows * bits / 32), columns]."""
    rows, columns = fields.shape
    if bits != 3:
        padded = torch.zeros(-(-rows * bits // 32) * (32 // bits), columns, dtype=torch.int32)
        padded[:rows] = fields
        return word([padded[j :: 32 // bits] for j in range(32 // bits)], bits)
    padded = torch.zeros(-(-rows // 32) * 32, columns, dtype=torch.int64)
    padded[:rows] = fields
    one, two, three = (torch.zeros(len(padded) // 32, columns, dtype=torch.int64) for _ in range(3))
    for j in range(10):
        one |= padded[j::32] << (3 * j)
        two |= padded[11 + j :: 32] << (3 * j + 1)
        three |= padded[22 + j :: 32] << (3 * j + 2)
    one |= (padded[10::32] & 3) << 30
    two |= (padded[10::32] >> 2) | ((padded[21::32] & 1) << 31)
    three |= padded[21::32] >> 1
    found = torch.stack([one, two, three], dim=1).reshape(-1, columns)
    return signed(found)[: -(-rows * 3 // 32)]


def _zeros(
    config: Mapping[str, Any], bits: int, label: str, qzeros: torch.Tensor | None, groups: int, out: int
) -> torch.Tensor:
    """int32 [groups, out]."""
    middle = 1 << (bits - 1)
    # AutoGPTQ and GPTQModel take a file that does not say for symmetric.
    symmetric = config.get("sym") is not False
    if qzeros is None:
        if not symmetric:
            raise Refused("qzeros is missing")
        return torch.full((groups, out), middle, dtype=torch.int32)
    check_shape("qzeros", qzeros, (groups, -(-out * bits // 32)))
    if label == "gptq":
        subtracted = _subtracted(config, bits, qzeros.shape[1])
        if subtracted is not None:
            # The writer subtracted from whole words, so whole words get it back, carries and all.
            qzeros = signed((qzeros.to(torch.int64) + subtracted) & 0xFFFFFFFF)
            return _fields(qzeros.T, bits).T[:, :out].contiguous()
        if symmetric and bits == 3 and _swapped(qzeros):
            return torch.full((groups, out), middle, dtype=torch.int32)
    stored = _fields(qzeros.T, bits).T[:, :out].contiguous()
    offset = 1 if label == "gptq" else 0
    # A symmetric file's zero point is in the middle; where all are stored as the other version would, the label lies.
    if symmetric and bool((stored == middle - 1 + offset).all()):
        return torch.full((groups, out), middle, dtype=torch.int32)
    return (stored + offset) % (1 << bits)


def _subtracted(config: Mapping[str, Any], bits: int, columns: int) -> torch.Tensor | None:
    """What GPTQModel took off each word of version 1; None where it worked field by field."""
    version = _gptqmodel(config)
    if version is None or version < (0, 9) or config.get("sym") is not False:
        return None
    if bits != 3:
        return torch.full((columns,), ONES[bits], dtype=torch.int64)
    if version >= (7,):
        return None
    return torch.tensor([NEARLY_ONES[number % 3] for number in range(columns)], dtype=torch.int64)


def _swapped(qzeros: torch.Tensor) -> bool:
    """Whether zero points of 4 less :data:`NEARLY_ONES` are stored: GPTQModel's fault on symmetric files."""
    fours = (0x24924924, 0x49249249, 0x92492492)
    pattern = [(fours[n % 3] - NEARLY_ONES[n % 3]) & 0xFFFFFFFF for n in range(qzeros.shape[1])]
    return bool((qzeros.to(torch.int64) & 0xFFFFFFFF == torch.tensor(pattern)).all())


def _gptqmodel(config: Mapping[str, Any]) -> tuple[int, ...] | None:
    meta = config.get("meta") or {}
    quantizer = meta.get("quantizer") or config.get("quantizer") or ""
    if isinstance(quantizer, list):
        quantizer = quantizer[0] if quantizer else ""
    name, _, version = str(quantizer).partition(":")
    if name.strip().lower() != "gptqmodel":
        return None
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def pack(
    config: Mapping[str, Any], q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The tensors that are stored for ``q`` [out, in], ``z`` and ``s`` [groups, out], ``g`` [in] or None.

    Fields are packed modulo ``2**bits``. AutoGPTQ itself smears a zero point of 0 over the rest of its word
    (docs/policies.md); that accident is a fixture, not a formula.
    """
    bits = first(config, "bits", "w_bit", "wbits")
    stored = (z - int(_label(config) == "gptq")) % (1 << bits)
    tensors = {"qweight": _words(q.T, bits), "qzeros": _words(stored.T, bits).T.contiguous(), "scales": s}
    if g is not None:
        tensors["g_idx"] = g.to(torch.int32)
    return tensors
