"""GPTQ, versions 1 and 2, of 2, 3, 4 and 8 bits; from AutoRound also of 5, 6 and 7.

Formulas: auto_gptq 0.7.1, ``nn_modules/qlinear/qlinear_cuda.py`` and ``qlinear_cuda_old.py`` (``pack`` and the CPU
branch of ``forward``); version 2 and the subtractions: GPTQModel 7.7.0, ``utils/model.py``; AutoRound: auto-round
0.16.1, ``auto_round_extension/torch``, and its ``pack`` in 0.15.0. Tensors in torch's [in, out] orientation:
``qweight`` packed along the rows, ``qzeros`` along the columns. Which reader is followed where they disagree:
docs/policies.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from .. import autoround
from ..config import Config, group_size, setting, written
from ..unpacked import (
    Refused,
    Unpacked,
    check_scales,
    check_shape,
    check_words,
    field,
    signed,
    straddled,
    straddling,
    word,
)

SLUG = "gptq"
# The first one marks a packed module.
LEAVES = ("qweight", "qzeros", "scales", "g_idx")
WIDTHS = (2, 3, 4, 8)
# What AutoRound calls the two versions.
LABELS = {
    "auto_round:auto_gptq": "gptq",
    "auto_round:gptq": "gptq",
    "auto": "gptq",
    "auto_round": "gptq_v2",
    "auto_round:gptqmodel": "gptq_v2",
}

# Ones in every field, for the widths whose fields stay within their word.
ONES = {2: 0x55555555, 4: 0x11111111, 8: 0x01010101}
# What GPTQModel before 7.0 took for ones in every field of 3 bits, word by word; the first and the third are swapped.
NEARLY_ONES = (0x24924924, 0x92492492, 0x49249249)


def names(config: Config) -> bool:
    """Whether the config is of this format; ``quantize_config.json`` of early AutoGPTQ names no method."""
    method, own = setting(config, "quant_method"), written(config)
    if autoround.wrote(config):
        return "awq" not in autoround.label(config)
    return method == SLUG if method else "desc_act" in own and "w_bit" not in own


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Codes, zero points, scales and groups of one module; Refused where the formulas do not apply."""
    bits, label, size = _bits(config), _label(config), group_size(config, 128 if autoround.wrote(config) else -1)
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
    if g_idx is not None and (g_idx.ndim != 1 or g_idx.dtype != torch.int32):
        raise Refused(f"g_idx has shape {tuple(g_idx.shape)} and dtype {g_idx.dtype}, expected one axis of int32")
    in_features = _inputs(rows * 32 // bits, len(scales), size) if g_idx is None else len(g_idx)
    if -(-in_features * bits // 32) != rows:
        raise Refused(f"qweight has {rows} rows of words, which {in_features} inputs of {bits} bits do not make")
    size = in_features if size == -1 else size
    groups = -(-in_features // size)
    check_shape("scales", scales, (groups, out))

    q = _fields(qweight, bits)[:in_features].T.contiguous()
    z = _zeros(config, bits, label, tensors.get("qzeros"), groups, out)
    if g_idx is None and config.get("desc_act") and not config.get("static_groups") and groups > 1:
        raise Refused("desc_act is true and g_idx is missing: which inputs form a group is not known")
    g = torch.arange(in_features) // size if g_idx is None else g_idx.to(torch.int64)
    if g.min() < 0 or g.max() >= groups:
        raise Refused(f"g_idx runs from {int(g.min())} to {int(g.max())}, expected 0 to {groups - 1}")
    return Unpacked(q, z, scales, g)


def _bits(config: Config) -> int:
    bits = setting(config, "bits", 4 if autoround.wrote(config) else None)
    widths = range(2, 9) if autoround.wrote(config) else WIDTHS
    if type(bits) is not int or bits not in widths:
        raise Refused(f"{bits!r} bits, expected one of {tuple(widths)}")
    return bits


def _label(config: Config) -> str:
    if autoround.wrote(config):
        autoround.check(config)
        if (said := autoround.label(config)) not in LABELS:
            raise Refused(f"packing_format {said}, expected one of {sorted(LABELS)}")
        return LABELS[said]
    label = "marlin" if config.get("is_marlin_format") else str(setting(config, "format", "gptq"))
    if label not in ("gptq", "gptq_v2"):
        raise Refused(f"layout {label}, expected gptq or gptq_v2")
    return label


def _inputs(fitting: int, groups: int, size: int) -> int:
    """Inputs where no g_idx counts them: as many as fit into the words, or as the groups hold if those are fewer.

    GPTQModel fills the last word up when the inputs do not; the fields left over belong to no group.
    """
    return fitting if size == -1 else min(fitting, groups * size)


def _fields(words: torch.Tensor, bits: int) -> torch.Tensor:
    """int32 fields of words [rows, columns], packed along the rows; fields of a word that is not full come last."""
    rows, columns = words.shape
    if bits in (5, 6, 7):
        return straddling(words.T, bits).T
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
    if bits in (5, 6, 7):
        return straddled(fields.T, bits).T
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


def _zeros(config: Config, bits: int, label: str, qzeros: torch.Tensor | None, groups: int, out: int) -> torch.Tensor:
    """int32 [groups, out]."""
    middle = 1 << (bits - 1)
    # AutoGPTQ and GPTQModel take a file that does not say for symmetric.
    symmetric = config.get("sym") is not False
    if qzeros is None:
        if not symmetric:
            raise Refused("qzeros is missing, and sym is false")
        return torch.full((groups, out), middle, dtype=torch.int32)
    check_shape("qzeros", qzeros, (groups, -(-out * bits // 32)))
    if label == "gptq":
        if (subtracted := _subtracted(config, bits, qzeros.shape[1])) is not None:
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


def _subtracted(config: Config, bits: int, columns: int) -> torch.Tensor | None:
    """What the producer took off each word to make version 1; None where it, or any other, worked field by field."""
    name, version = _producer(config)
    if config.get("sym") is not False:
        return None
    if name == "autoround" and (0, 7, 1) <= version < (0, 16) and bits in ONES:
        return torch.full((columns,), ONES[bits], dtype=torch.int64)
    if name != "gptqmodel" or version < (0, 9) or (bits == 3 and version >= (7,)):
        return None
    if bits != 3:
        return torch.full((columns,), ONES[bits], dtype=torch.int64)
    return torch.tensor([NEARLY_ONES[number % 3] for number in range(columns)], dtype=torch.int64)


def _swapped(qzeros: torch.Tensor) -> bool:
    """Whether zero points of 4 less :data:`NEARLY_ONES` are stored: GPTQModel's fault on symmetric files."""
    fours = (0x24924924, 0x49249249, 0x92492492)
    pattern = [(fours[n % 3] - NEARLY_ONES[n % 3]) & 0xFFFFFFFF for n in range(qzeros.shape[1])]
    return bool((qzeros.to(torch.int64) & 0xFFFFFFFF == torch.tensor(pattern)).all())


def _producer(config: Config) -> tuple[str, tuple[int, ...]]:
    """Name and version of the program that wrote the file, empty where none is named."""
    meta = config.get("meta")
    quantizer = (meta.get("quantizer") if isinstance(meta, Mapping) else None) or config.get("quantizer") or ""
    if isinstance(quantizer, list):
        quantizer = quantizer[0] if quantizer else ""
    name, _, version = str(quantizer).partition(":")
    if not name and autoround.wrote(config):
        name, version = "autoround", str(config.get("autoround_version", ""))
    return name.strip().lower(), tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The tensors that the producer stores for ``q`` [out, in], ``z`` and ``s`` [groups, out], ``g`` [in] or None.

    Fields are packed modulo ``2**bits``, or subtracted from in whole words where ``config`` names a GPTQModel that did
    so. AutoGPTQ itself smears a zero point of 0 over the rest of its word (docs/policies.md); that accident is a
    fixture, not a formula.
    """
    bits, label = _bits(config), _label(config)
    subtracted = _subtracted(config, bits, -(-z.shape[1] * bits // 32)) if label == "gptq" else None
    if subtracted is None:
        qzeros = _words((z.T - int(label == "gptq")) % (1 << bits), bits).T
    else:
        qzeros = signed((_words(z.T, bits).T.to(torch.int64) - subtracted) & 0xFFFFFFFF)
    tensors = {"qweight": _words(q.T, bits), "qzeros": qzeros.contiguous(), "scales": s}
    if g is not None:
        tensors["g_idx"] = g.to(torch.int32)
    return tensors
