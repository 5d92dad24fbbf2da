"""GPTQ, versions 1 and 2, of 2, 4 and 8 bits in words of 8 or 16: GPTQModel's ``pack_dtype`` ``int8`` and ``int16``.

Formulas: GPTQModel 7.7.0, ``nn_modules/qlinear/__init__.py`` (``pack_original`` and ``dequantize_weight``) and
``utils/model.py`` (``convert_gptq_v1_to_v2_format_module``). Tensors in torch's [in, out] orientation: ``qweight``
packed along the rows, ``qzeros`` along the columns. Which reader is followed where they disagree: docs/policies.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .. import autoround
from ..config import Config, group_size, setting
from ..unpacked import Refused, Unpacked, check_scales, check_shape

SLUG = "gptq_narrow"
# The first one marks a packed module.
LEAVES = ("qweight", "qzeros", "scales", "g_idx")
WIDTHS = (2, 4, 8)
DTYPES = {"int8": (8, torch.int8), "int16": (16, torch.int16)}


def names(config: Config) -> bool:
    if autoround.wrote(config) or setting(config, "quant_method", "gptq") != "gptq" or config.get("is_marlin_format"):
        return False
    label = setting(config, "format", "gptq")
    return _dtype(config) in DTYPES and label in ("gptq", "gptq_v2")


def _dtype(config: Config) -> str:
    return str(config.get("pack_dtype") or "int32").lower()


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Codes, zero points, scales and groups of one module; Refused where the formulas do not apply."""
    bits, size = setting(config, "bits"), group_size(config, -1)
    if type(bits) is not int or bits not in WIDTHS:
        raise Refused(f"{bits!r} bits, expected one of {WIDTHS}: of no other width a word holds whole fields")
    word, dtype = DTYPES[_dtype(config)]
    for name in ("qweight", "qzeros", "scales"):
        if name not in tensors:
            raise Refused(f"{name} is missing")
    qweight, qzeros, scales = (tensors[name] for name in ("qweight", "qzeros", "scales"))
    for name, words in (("qweight", qweight), ("qzeros", qzeros)):
        if words.dtype != dtype or words.ndim != 2 or words.numel() == 0:
            raise Refused(f"{name} has dtype {words.dtype} and shape {tuple(words.shape)}, expected a {dtype} matrix")
    check_scales(scales)
    rows, out = qweight.shape
    factor = word // bits
    inputs = rows * factor
    g_idx = tensors.get("g_idx")
    if g_idx is not None:
        if g_idx.ndim != 1 or g_idx.dtype != torch.int32:
            raise Refused(f"g_idx has shape {tuple(g_idx.shape)} and dtype {g_idx.dtype}, expected one axis of int32")
        inputs = len(g_idx)
    elif size != -1:
        inputs = min(inputs, len(scales) * size)
    if -(-inputs // factor) != rows:
        raise Refused(f"qweight has {rows} rows of words, which {inputs} inputs of {bits} bits do not make")
    size = inputs if size == -1 else size
    groups = -(-inputs // size)
    check_shape("scales", scales, (groups, out))
    check_shape("qzeros", qzeros, (groups, -(-out // factor)))
    if g_idx is None and config.get("desc_act") and not config.get("static_groups") and groups > 1:
        raise Refused("desc_act is true and g_idx is missing: which inputs form a group is not known")
    g = torch.arange(inputs) // size if g_idx is None else g_idx.to(torch.int64)
    if g.min() < 0 or g.max() >= groups:
        raise Refused(f"g_idx runs from {int(g.min())} to {int(g.max())}, expected 0 to {groups - 1}")
    q = _fields(qweight, bits, word)[:inputs].T.contiguous()
    return Unpacked(q, _zeros(config, qzeros, bits, word, out), scales, g)


def _fields(words: torch.Tensor, bits: int, word: int) -> torch.Tensor:
    """int32 fields of words [rows, columns], packed along the rows."""
    wide = words.to(torch.int32)
    found = [(wide >> shift) & ((1 << bits) - 1) for shift in range(0, word, bits)]
    return torch.stack(found, dim=1).reshape(-1, words.shape[1])


def _ones(bits: int, word: int) -> int:
    return sum(1 << shift for shift in range(0, word, bits))


def _zeros(config: Config, qzeros: torch.Tensor, bits: int, word: int, out: int) -> torch.Tensor:
    """int32 [groups, out]."""
    middle, first = 1 << (bits - 1), setting(config, "format", "gptq") == "gptq"
    symmetric = config.get("sym") is not False
    stored = _fields(qzeros.T, bits, word).T[:, :out].contiguous()
    # A symmetric file's zero point is in the middle; where all are stored as the other version would, the label lies.
    if symmetric and bool((stored == (middle if first else middle - 1)).all()):
        return torch.full_like(stored, middle)
    if not first:
        return stored
    # The writer subtracted from whole words, so whole words get it back; the carry out of a word is lost.
    sums = (qzeros.to(torch.int32) & ((1 << word) - 1)) + _ones(bits, word)
    return _fields(sums.T, bits, word).T[:, :out].contiguous()


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The tensors that the producer stores for ``q`` [out, in], ``z`` and ``s`` [groups, out], ``g`` [in] or None.

    Version 1 of zero points is subtracted from in whole words, as GPTQModel does.
    """
    bits, (word, dtype) = setting(config, "bits"), DTYPES[_dtype(config)]
    # Zero points lie along the columns: packed along rows, and turned.
    qzeros = _words(z.T, bits, word)
    if setting(config, "format", "gptq") == "gptq":
        qzeros = qzeros - _ones(bits, word)
    tensors = {"qweight": _signed(_words(q.T, bits, word), dtype), "qzeros": _signed(qzeros.T, dtype), "scales": s}
    return tensors if g is None else tensors | {"g_idx": g.to(torch.int32)}


def _words(fields: torch.Tensor, bits: int, word: int) -> torch.Tensor:
    """int64 words [ceil(rows * bits / word), columns] of fields [rows, columns], filled up with zeros."""
    rows, columns = fields.shape
    factor = word // bits
    padded = torch.zeros(-(-rows // factor) * factor, columns, dtype=torch.int64)
    padded[:rows] = fields
    total = torch.zeros(len(padded) // factor, columns, dtype=torch.int64)
    for place in range(factor):
        total |= padded[place::factor] << (bits * place)
    return total


def _signed(words: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    limit = 1 << 8 * dtype.itemsize
    found = words % limit
    return torch.where(found >= limit // 2, found - limit, found).to(dtype).contiguous()
