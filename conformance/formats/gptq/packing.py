"""GPTQ, packed and taken apart in NumPy.

``qweight`` [ceil(in * bits / 32), out] packs along the inputs, ``qzeros`` [groups, ceil(out * bits / 32)] along the
outputs, both as little-endian streams of fields in 32-bit words. Version 1 (``checkpoint_format: gptq``) stores zero
points less one, version 2 as they are. Sources: auto_gptq 0.7.1, ``qlinear_cuda.py``; GPTQModel 7.7.0, ``torch.py`` and
``utils/model.py``; AutoRound: auto-round 0.16.1, ``auto_round_extension/torch``; the policies: docs/policies.md.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import fields, repeated, words
from ..dialects import autoround
from ..parts import Config, Integer, Tensors
from ..spelt import written

WIDTHS = (4, 2, 3, 8, 5, 6, 7)
# Of these only AutoRound writes a stream of bits; GPTQModel has them in planes.
AUTOROUND_ALONE = (5, 6, 7)
# What GPTQModel before 7.0 subtracted from the words of 3-bit zero points, by the number of the word modulo 3. Ones in
# every field would be words 2, 1, 0 of this order: two of them are swapped.
SWAPPED = np.array([0x24924924, 0x92492492, 0x49249249], np.uint32)


def width(config: Config) -> int:
    return int(next(config[key] for key in ("bits", "w_bit", "wbits") if config.get(key) is not None))


def config(bits: int, group_size: int) -> dict[str, Any]:
    """The plainest ``quantization_config`` of an asymmetric module."""
    plain = {"quant_method": "gptq", "bits": bits, "group_size": group_size, "sym": False, "desc_act": False}
    return spelled(plain)


def spelled(config: Config) -> dict[str, Any]:
    """A config of GPTQ in the dialect of whoever writes its width."""
    if width(config) not in AUTOROUND_ALONE or autoround.reads(config):
        return dict(config)
    kept = {key: value for key, value in config.items() if key in ("bits", "group_size", "sym")}
    return autoround.PLAIN | {"packing_format": autoround.RAW if version(config) == 2 else autoround.LESS_ONE} | kept


def config_of(config: Config, module: str) -> dict[str, Any]:
    """GPTQModel's ``dynamic``: the first pattern that matches the start of the name decides; ``-:`` changes nothing."""
    own = {key: value for key, value in config.items() if key != "dynamic"}
    for pattern, values in (config.get("dynamic") or {}).items():
        if re.match(pattern.removeprefix("+:").removeprefix("-:"), module):
            return own if pattern.startswith("-:") else own | (values or {})
    return own


def pack(
    codes: np.ndarray,
    zeros: np.ndarray,
    scales: Array,
    g_idx: np.ndarray | None = None,
    *,
    bits: int = 4,
    version: int = 1,
) -> dict[str, Array]:
    """The tensors of codes [out, in] and zero points [groups, out]."""
    stored = (zeros.astype(np.int64) - (version == 1)) % (1 << bits)
    tensors = {
        "qweight": Array.of(np.ascontiguousarray(words(codes, bits).T)),
        "qzeros": Array.of(words(stored, bits)),
        "scales": scales,
    }
    return tensors if g_idx is None else tensors | {"g_idx": Array.of(g_idx.astype(np.int32))}


def parts(config: Config, tensors: Tensors) -> Integer:
    """A sound module taken apart."""
    bits = width(config)
    q = fields(tensors["qweight"].bits, 0, bits).T.astype(np.int64)
    q = q[:, : len(tensors["g_idx"].bits)] if "g_idx" in tensors else q
    g = np.arange(q.shape[1]) // group_size(config, q.shape[1])
    g = tensors["g_idx"].bits.astype(np.int64) if "g_idx" in tensors else g
    return Integer.of(q, zero_points(config, tensors), tensors["scales"], g, bits)


def group_size(config: Config, in_features: int) -> int:
    found = written(config)
    size: Any = found.get("group_size", found.get("q_group_size", 128 if autoround.reads(config) else -1))
    return in_features if size == -1 else int(size)


def version(config: Config) -> int:
    """1 where zero points are stored less one, 2 where they are stored as they are."""
    if autoround.reads(config):
        return autoround.version(config)
    label = config.get("checkpoint_format") or config.get("format") or "gptq"
    return 2 if str(label).lower() == "gptq_v2" else 1


def symmetric(config: Config) -> bool:
    """What AutoGPTQ and GPTQModel take it for where the config does not say."""
    return config.get("sym") is not False


def stored_zeros(config: Config, tensors: Tensors) -> np.ndarray:
    """The fields of ``qzeros`` [groups, out] as they are."""
    return fields(tensors["qzeros"].bits, 1, width(config)).astype(np.int64)[:, : tensors["scales"].shape[1]]


def zero_points(config: Config, tensors: Tensors) -> np.ndarray:
    """Zero points [groups, out] by the written policies."""
    bits = width(config)
    middle, out = 1 << (bits - 1), tensors["scales"].shape[1]
    if "qzeros" not in tensors:
        return np.full(tensors["scales"].shape, middle, np.int64)
    if (lacking := subtracted(config, tensors["qzeros"].bits.shape[1])) is not None:
        whole = tensors["qzeros"].bits.view(np.uint32) + lacking
        return fields(whole.view(np.int32), 1, bits).astype(np.int64)[:, :out]
    if swapped(config, tensors["qzeros"].bits.view(np.uint32)):
        return np.full(tensors["scales"].shape, middle, np.int64)
    stored = stored_zeros(config, tensors)
    offset = 1 if version(config) == 1 else 0
    if symmetric(config) and (stored == middle - 1 + offset).all():
        return np.full_like(stored, middle)
    return (stored + offset) % (1 << bits)


def subtracted(config: Config, columns: int) -> np.ndarray | None:
    """What the producer took off every word of ``qzeros``, borrows and all; None where it worked field by field.

    GPTQModel from 0.9 on makes version 1 of asymmetric zero points that way; of 3 bits only before 7.0, and wrongly.
    AutoRound from 0.7.1 to 0.15 does, but for 3 bits.
    """
    producer = _gptqmodel(config)
    if config.get("sym") is not False or version(config) != 1:
        return None
    if autoround.reads(config) and autoround.borrows(config) and width(config) in (2, 4, 8):
        return np.full(columns, repeated(1, width(config)), np.uint32)
    if producer is None or producer < [0, 9]:
        return None
    if width(config) == 3:
        return np.resize(SWAPPED, columns) if producer < [7] else None
    return np.full(columns, repeated(1, width(config)), np.uint32)


def swapped(config: Config, qzeros: np.ndarray) -> bool:
    """Whether a symmetric file's zero points of 3 bits were made by :data:`SWAPPED`: all are 4, whoever wrote it."""
    if width(config) != 3 or not symmetric(config) or version(config) != 1:
        return False
    fours = np.array([0x24924924, 0x49249249, 0x92492492], np.uint32)
    return bool((qzeros == np.resize(fours - SWAPPED, qzeros.shape[1])).all())


def _gptqmodel(config: Config) -> list[int] | None:
    quantizer = (config.get("meta") or {}).get("quantizer") or config.get("quantizer") or ""
    text = str(quantizer[0] if isinstance(quantizer, list) else quantizer)
    name, _, numbers = text.partition(":")
    return [int(number) for number in re.findall(r"\d+", numbers)] if name.strip().lower() == "gptqmodel" else None
