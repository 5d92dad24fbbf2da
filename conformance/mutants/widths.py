"""Widths other than 4 bits: fields that cross words, masks and shifts of another width, version 2, absent sym."""

from __future__ import annotations

import numpy as np

from ..bits.fields import fields
from ..formats.gptq.packing import stored_zeros, subtracted, swapped, version, width
from ..formats.parts import Integer
from .model import Bug, Config, Mutant, Tensors, github
from .wrap import misread, spoilt, without

GPTQ = ("gptq",)
OTHERS = (2, 3, 8)
FAMILY = (2, 3, 4, 8)


def _by_field(config: Config, tensors: Tensors) -> bool:
    """Whether zero points are read field by field, and by the offset of version 1."""
    return (
        "qzeros" in tensors
        and version(config) == 1
        and subtracted(config, 1) is None
        and not swapped(config, tensors["qzeros"].bits.view(np.uint32))
    )


def _wide(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """The field of all ones plus one, kept."""
    if not _by_field(config, tensors):
        return found
    return found.with_(z=np.where(found.z == 0, 1 << found.bits, found.z))


def _no_offset(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return found.with_(z=(found.z - 1) % (1 << found.bits)) if _by_field(config, tensors) else found


def _masked_as_four(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return found.with_(z=found.z & 15) if _by_field(config, tensors) else found


def _constant_words(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Ones added word by word; what a field carries into the next word is lost."""
    if not _by_field(config, tensors):
        return found
    words = tensors["qzeros"].bits.view(np.uint32)
    ones = np.resize(np.array([0x49249249, 0x92492492, 0x24924924], np.uint32), words.shape[1])
    z = fields((words + ones).view(np.int32), 1, 3).astype(np.int64)[:, : found.z.shape[1]]
    return found.with_(z=z)


def _first_words_only(found: Integer, config: Config, tensors: Tensors) -> Integer:
    if not _by_field(config, tensors):
        return found
    z = found.z.copy()
    z[:, 32:] = 1  # what is stored as 0
    return found.with_(z=z)


def _within_words(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """The bits that a field has in the next word are taken for zeros."""
    q = found.q.copy()
    q[:, 10::32] &= 3
    q[:, 21::32] &= 1
    return found.with_(q=q)


def _ten_a_word(found: Integer, config: Config, tensors: Tensors) -> Integer:
    words = tensors["qweight"].bits.view(np.uint32)
    channel = np.arange(found.q.shape[1])
    row = np.minimum(channel // 10, len(words) - 1)
    q = (words[row] >> (3 * (channel % 10)).astype(np.uint32)[:, None]) & np.uint32(7)
    return found.with_(q=np.ascontiguousarray(q.T).astype(np.int64))


def _shifted_by_four(found: Integer, config: Config, tensors: Tensors) -> Integer:
    words = tensors["qweight"].bits.view(np.uint32)
    channel = np.arange(found.q.shape[1])
    q = (words[channel // 4] >> (4 * (channel % 4)).astype(np.uint32)[:, None]) & np.uint32(255)
    return found.with_(q=np.ascontiguousarray(q.T).astype(np.int64))


def _from_the_top(found: Integer, config: Config, tensors: Tensors) -> Integer:
    per_word = 32 // found.bits
    count = found.q.shape[1]
    padded = np.pad(found.q, ((0, 0), (0, -count % per_word)))
    turned = padded.reshape(len(padded), -1, per_word)[:, :, ::-1].reshape(padded.shape)
    return found.with_(q=turned[:, :count])


def _signed_codes(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return found.with_(q=np.where(found.q > 127, found.q - 256, found.q))


def _eight_as_middle(found: Integer, config: Config, tensors: Tensors) -> Integer:
    symmetric = config.get("sym") is True and (found.z == found.z.flat[0]).all()
    return found.with_(z=np.full_like(found.z, 8)) if symmetric else found


def _asymmetric_if_absent(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    absent = config.get("sym") is None and "qzeros" in tensors
    return (config | {"sym": False}, tensors) if absent else (config, tensors)


def _swapped_as_stored(found: Integer, config: Config, tensors: Tensors) -> Integer:
    if "qzeros" not in tensors or not swapped(config, tensors["qzeros"].bits.view(np.uint32)):
        return found
    return found.with_(z=(stored_zeros(config, tensors) + 1) % 8)


def _swapped_for_ever(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    """The words that GPTQModel before 7.0 subtracted are added to what later ones wrote."""
    named = str((config.get("meta") or {}).get("quantizer") or "")
    if width(config) != 3 or "gptqmodel" not in named or config.get("sym") is not False:
        return config, tensors
    return config | {"meta": {"quantizer": ["gptqmodel:6.0.0"]}}, tensors


def _tail_dropped(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Inputs counted by whole words: what lies in a word that is not full is lost."""
    whole = found.q.shape[1] * found.bits // 32 * 32 // found.bits
    q = found.q.copy()
    q[:, whole:] = 0
    return found.with_(q=q)


def _no_producer(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    return without(config, "meta", "quantizer"), tensors


_GPTQMODEL = ("https://github.com/ModelCloud/GPTQModel/blob/main/gptqmodel/utils/model.py",)

WIDTHS = (
    Mutant(
        "ZP-03w",
        Bug.ZERO_OFFSET,
        "1 is added to the masked field and not masked again, at 2, 3 and 8 bits",
        github("AutoGPTQ/AutoGPTQ#484"),
        ("policies", "arithmetic", "synthetic"),
        GPTQ,
        OTHERS,
        decode=spoilt(_wide),
    ),
    Mutant(
        "ZP-12c",
        Bug.ZERO_OFFSET,
        "the offset is added at 4 bits only",
        github("ModelCloud/GPTQModel#1347"),
        ("vectors", "arithmetic", "synthetic", "modules", "digests"),
        GPTQ,
        OTHERS,
        decode=spoilt(_no_offset),
    ),
    Mutant(
        "ZP-09c",
        Bug.CROSS_WORD,
        "the borrow that GPTQModel left in packed words is undone at 4 bits only",
        _GPTQMODEL,
        ("policies",),
        GPTQ,
        OTHERS,
        decode=misread(_no_producer),
    ),
    Mutant(
        "ZP-09d",
        Bug.CROSS_WORD,
        "at 3 bits the words that GPTQModel before 7.0 subtracted are added to files of later ones as well",
        github("ModelCloud/GPTQModel#2763"),
        ("policies",),
        GPTQ,
        (3,),
        decode=misread(_swapped_for_ever),
    ),
    Mutant(
        "ZP-10b",
        Bug.CROSS_WORD,
        "at 3 bits a constant adds 1 to each word, and what a field carries into the next word is lost",
        github("ModelCloud/GPTQModel#2763"),
        ("vectors", "arithmetic", "layouts", "synthetic"),
        GPTQ,
        (3,),
        decode=spoilt(_constant_words),
    ),
    Mutant(
        "ZP-24",
        Bug.CROSS_WORD,
        "the zero points of symmetric 3-bit files of GPTQModel before 7.0 are read as they are stored",
        github("ModelCloud/GPTQModel#2763"),
        ("policies",),
        GPTQ,
        (3,),
        decode=spoilt(_swapped_as_stored),
    ),
    Mutant(
        "ZP-25",
        Bug.CONFIG_FALLBACK,
        "a config without sym is taken for asymmetric, and the label of symmetric data is believed",
        github("vllm-project/vllm#38966"),
        ("policies",),
        GPTQ,
        FAMILY,
        decode=misread(_asymmetric_if_absent),
    ),
    Mutant(
        "ZP-26",
        Bug.ZERO_OFFSET,
        "the zero point of symmetric files is 8 at every width",
        github("intel/auto-round#1732"),
        ("vectors", "synthetic", "modules"),
        GPTQ,
        OTHERS,
        decode=spoilt(_eight_as_middle),
    ),
    Mutant(
        "PK-05w",
        Bug.CROSS_WORD,
        "at 3 bits the packer's loop fills the first three words of zero points only",
        github("ModelCloud/GPTQModel#1278", "ModelCloud/GPTQModel#1218"),
        # The layouts at 3 bits have 32 outputs, three words of zero points: the fault lies beyond them.
        ("vectors", "arithmetic", "synthetic", "modules"),
        GPTQ,
        (3,),
        decode=spoilt(_first_words_only),
    ),
    Mutant(
        "PK-06",
        Bug.CROSS_WORD,
        "at 3 bits a field that lies in two words is read from the first one alone",
        github("ModelCloud/GPTQModel#2251", "ModelCloud/GPTQModel#2258"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        GPTQ,
        (3,),
        decode=spoilt(_within_words),
    ),
    Mutant(
        "PK-07w",
        Bug.SHAPE_PADDING,
        "at 3 bits a word is taken to hold ten fields, and two bits of it nothing",
        github("ModelCloud/GPTQModel#2984"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        GPTQ,
        (3,),
        decode=spoilt(_ten_a_word),
    ),
    Mutant(
        "PK-07t",
        Bug.SHAPE_PADDING,
        "inputs are counted by whole words, and those in a word that is not full are lost",
        github("ModelCloud/GPTQModel#2984"),
        ("layouts", "synthetic"),
        GPTQ,
        OTHERS,
        decode=spoilt(_tail_dropped),
    ),
    Mutant(
        "PK-10",
        Bug.NIBBLE_ORDER,
        "codes of 8 bits are shifted by 4 bits each",
        github("0cc4m/GPTQ-for-LLaMa#14"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        GPTQ,
        (8,),
        decode=spoilt(_shifted_by_four),
    ),
    Mutant(
        "PK-10b",
        Bug.NIBBLE_ORDER,
        "codes are read from the top of the word down",
        github("0cc4m/GPTQ-for-LLaMa#14"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        GPTQ,
        (2, 8),
        decode=spoilt(_from_the_top),
    ),
    Mutant(
        "PK-12b",
        Bug.ZERO_OFFSET,
        "zero points are masked with 15 at every width, so that a symmetric 128 becomes 0",
        github("AutoGPTQ/AutoGPTQ#484"),
        ("vectors", "arithmetic", "synthetic", "modules"),
        GPTQ,
        (8,),
        decode=spoilt(_masked_as_four),
    ),
    Mutant(
        "PK-14c",
        Bug.SIGNEDNESS,
        "codes of 8 bits above 127 are taken for negative numbers",
        github("intel/auto-round#2273"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        GPTQ,
        (8,),
        decode=spoilt(_signed_codes),
    ),
)
