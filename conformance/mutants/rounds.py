"""AutoRound's labels, rules and widths, and AWQ's other widths."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bits.fields import fields
from ..formats.awq_gemm.packing import interleaved, interleaves, natural
from ..formats.dialects import autoround
from ..formats.gptq.packing import stored_zeros, subtracted, version
from ..formats.parts import Integer
from .loading import misread as misloaded
from .loading import settings, with_settings
from .model import Bug, Config, Mutant, Tensors, github
from .wrap import misread, spoilt, without

EVERY = tuple(range(2, 9))
GPTQ, AWQ = ("gptq",), ("awq",)


def _less_one(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    raw = autoround.reads(config) and version(config) == 2
    return (config | {"packing_format": autoround.LESS_ONE} if raw else config), tensors


def _raw(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    less = autoround.reads(config) and version(config) == 1
    return (config | {"packing_format": autoround.RAW} if less else config), tensors


def _label_alone(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    """``backend`` of old versions is not looked at."""
    return (without(config, "backend") if autoround.reads(config) else config), tensors


def _by_field(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    return (without(config, "autoround_version") if autoround.reads(config) else config), tensors


def _kept_wide(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """What AutoRound itself reads: the field plus one, neither masked nor carried."""
    if not autoround.reads(config) or "qzeros" not in tensors or version(config) != 1:
        return found
    plain = subtracted(config, 1) is None and (found.z == (stored_zeros(config, tensors) + 1) % (1 << found.bits)).all()
    return found.with_(z=stored_zeros(config, tensors) + 1) if plain else found


def _planes(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Codes taken for GPTQModel's planes: of 32, the low bits in whole words, then the high ones."""
    widths = {5: (4, 1), 6: (4, 2), 7: (4, 2, 1)}[found.bits]
    words, count = tensors["qweight"].bits, found.q.shape[1]
    blocks = words[: len(words) // found.bits * found.bits].reshape(-1, found.bits, words.shape[1])
    q, row, shift = np.zeros((len(blocks), 32, words.shape[1]), np.int64), 0, 0
    for width in widths:
        plane = np.stack([fields(block[row : row + width], 0, width) for block in blocks]) if len(blocks) else q
        q |= plane.astype(np.int64) << shift
        row, shift = row + width, shift + width
    codes = found.q.copy()
    taken = q.reshape(-1, words.shape[1]).T[:, :count]
    codes[:, : taken.shape[1]] = taken
    return found.with_(q=codes)


def _not_interleaved(found: Integer, config: Config, tensors: Tensors) -> Integer:
    if not interleaves(config):
        return found
    return found.with_(q=interleaved(found.q.T).T, z=interleaved(found.z))


def _always_interleaved(found: Integer, config: Config, tensors: Tensors) -> Integer:
    if interleaves(config) or found.q.shape[0] % 8:
        return found
    return found.with_(q=natural(found.q.T).T, z=natural(found.z))


def _no_rules(folder: Any) -> Any:
    return with_settings(folder, extra_config={}) if settings(folder).get("extra_config") else None


def _names_alone(folder: Any) -> Any:
    rules = settings(folder).get("extra_config")
    return rules and with_settings(folder, extra_config={k: v for k, v in rules.items() if "*" not in k})


_UPSTREAM = ("https://github.com/intel/auto-round/blob/v0.16.1/auto_round_extension/torch/qlinear_torch_zp.py",)

ROUNDS = (
    Mutant(
        "AR-01",
        Bug.ZERO_OFFSET,
        "AutoRound's own packing is read with GPTQ's offset, which its label does not have",
        github("intel/auto-round#1857"),
        ("vectors", "policies"),
        GPTQ,
        EVERY,
        decode=misread(_less_one),
    ),
    Mutant(
        "AR-02",
        Bug.ZERO_OFFSET,
        "zero points under auto_round:auto_gptq are read as they are stored",
        github("intel/auto-round#1857"),
        ("vectors", "policies"),
        GPTQ,
        EVERY,
        decode=misread(_raw),
    ),
    Mutant(
        "AR-02b",
        Bug.CONFIG_FALLBACK,
        "the backend of AutoRound before 0.5 is not read, and the packing taken for the default",
        github("intel/auto-round#168"),
        ("policies",),
        GPTQ,
        EVERY,
        decode=misread(_label_alone),
    ),
    Mutant(
        "AR-03",
        Bug.CROSS_WORD,
        "zero points that AutoRound before 0.16 summed, borrows and all, are read field by field",
        _UPSTREAM,
        ("policies",),
        GPTQ,
        (2, 4, 8),
        decode=misread(_by_field),
    ),
    Mutant(
        "AR-03b",
        Bug.ZERO_OFFSET,
        "AutoRound's field of all ones plus one is kept at its full width",
        _UPSTREAM,
        ("policies",),
        GPTQ,
        EVERY,
        decode=spoilt(_kept_wide),
    ),
    Mutant(
        "AR-04",
        Bug.CONFIG_FALLBACK,
        "extra_config is not read: all modules have the settings of the rest",
        github("vllm-project/vllm#49137"),
        ("checkpoints",),
        GPTQ,
        EVERY,
        load=misloaded(_no_rules),
        loud=True,
    ),
    Mutant(
        "AR-04b",
        Bug.CONFIG_FALLBACK,
        "keys of extra_config are taken for names only, never for regular expressions",
        github("vllm-project/vllm#49137"),
        ("checkpoints",),
        GPTQ,
        EVERY,
        load=misloaded(_names_alone),
        loud=True,
    ),
    Mutant(
        "AR-05",
        Bug.CROSS_WORD,
        "codes of 5, 6 and 7 bits are taken for GPTQModel's planes where AutoRound wrote one stream",
        _UPSTREAM,
        ("vectors", "layouts"),
        GPTQ,
        (5, 6, 7),
        decode=spoilt(_planes),
    ),
    Mutant(
        "AR-06",
        Bug.INTERLEAVE,
        "AWQ's fields are interleaved at 4 bits only, though AutoRound does it at every width",
        ("https://github.com/intel/auto-round/blob/v0.16.1/auto_round/utils/bit_packing.py",),
        ("vectors", "layouts"),
        AWQ,
        (5, 6, 7),
        decode=spoilt(_not_interleaved),
    ),
    Mutant(
        "AR-06b",
        Bug.INTERLEAVE,
        "AWQ's fields are interleaved at every width, though GPTQModel's are at 4 bits only",
        ("https://github.com/ModelCloud/GPTQModel/blob/main/gptqmodel/quantization/awq/utils/packing_utils.py",),
        ("vectors",),
        AWQ,
        (2, 3, 5, 6, 7, 8),
        decode=spoilt(_always_interleaved),
    ),
)
