"""Faults in reading words of 8 and 16 bits by the rules for those of 32."""

from __future__ import annotations

import numpy as np

from ..bits.fields import fields as stream
from ..formats.gptq.packing import version
from ..formats.gptq_narrow.packing import ones, stored_zeros, width, word_of
from ..formats.parts import Integer
from .model import Bug, Config, Mutant, Tensors
from .wrap import misread, spoilt, without

NARROW = ("gptq_narrow",)
_SOURCE = ("https://github.com/ModelCloud/GPTQModel/blob/main/gptqmodel/utils/model.py",)
_PACKER = ("https://github.com/ModelCloud/GPTQModel/blob/main/gptqmodel/nn_modules/qlinear/__init__.py",)


def _as_words_of_32(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """The bytes of the file are taken for words of 32 bits of the same matrix: rows of it, one after the other."""
    words = np.ascontiguousarray(tensors["qweight"].bits)
    count = words.nbytes // 4
    if count * 4 != words.nbytes or count % words.shape[1]:
        return found.with_(q=np.zeros_like(found.q))
    q = stream(words.view(np.int32).reshape(-1, words.shape[1]), 0, found.bits).T.astype(np.int64)
    return found.with_(q=np.ascontiguousarray(q[:, : found.q.shape[1]]))


def _high_byte_first(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Narrow words are joined to wide ones with the first in the highest place."""
    each = 32 // found.bits
    inside = word_of(config) // found.bits
    q = np.pad(found.q, ((0, 0), (0, -found.q.shape[1] % each)))
    turned = q.reshape(len(q), -1, each // inside, inside)[:, :, ::-1].reshape(q.shape)
    return found.with_(q=np.ascontiguousarray(turned[:, : found.q.shape[1]]))


def _borrowed_over_words(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Ones are added to words of 32 bits, whose carries run on over the ends of narrow words."""
    if version(config) != 1:
        return found
    stored = np.ascontiguousarray(tensors["qzeros"].bits).view(np.uint8)
    padded = np.ascontiguousarray(np.pad(stored, ((0, 0), (0, -stored.shape[1] % 4))))
    whole = padded.view(np.uint32) + np.uint32(ones(found.bits, 32))
    z = stream(whole.view(np.int32), 1, found.bits).astype(np.int64)
    return found.with_(z=z[:, : found.z.shape[1]])


def _by_field(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """1 is added to each zero point by itself, as to those of other writers."""
    if version(config) != 1:
        return found
    return found.with_(z=(stored_zeros(config, tensors) + 1) % (1 << width(config)))


def _signed(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """A word of 8 bits that is one code is taken for the signed number that its dtype says."""
    if word_of(config) != found.bits:
        return found
    return found.with_(q=np.where(found.q > 127, found.q - 256, found.q))


def _always_first(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    return without(config, "format", "checkpoint_format"), tensors


WORDS = (
    Mutant(
        "NW-01",
        Bug.PACK_AXIS,
        "narrow words are viewed as words of 32 bits along the outputs, where they follow one another along the inputs",
        _PACKER,
        ("vectors", "layouts", "synthetic", "modules", "digests"),
        NARROW,
        bits=(2, 4, 8),
        decode=spoilt(_as_words_of_32),
    ),
    Mutant(
        "NW-02",
        Bug.NIBBLE_ORDER,
        "narrow words are joined to wide ones with the first of them in the highest place",
        _PACKER,
        ("vectors", "layouts", "synthetic", "modules", "digests"),
        NARROW,
        bits=(2, 4, 8),
        decode=spoilt(_high_byte_first),
    ),
    Mutant(
        "NW-03",
        Bug.CROSS_WORD,
        "ones are added to zero points in words of 32 bits, and carries run on over the ends of narrow words",
        _SOURCE,
        ("vectors", "synthetic"),
        NARROW,
        bits=(2, 4, 8),
        decode=spoilt(_borrowed_over_words),
    ),
    Mutant(
        "NW-04",
        Bug.CROSS_WORD,
        "1 is added to each zero point by itself, and what a zero point of 0 borrowed from the next is not given back",
        _SOURCE,
        ("vectors", "synthetic"),
        NARROW,
        bits=(2, 4),
        decode=spoilt(_by_field),
    ),
    Mutant(
        "NW-05",
        Bug.SIGNEDNESS,
        "codes of 8 bits in words of 8 are taken for the signed numbers that their dtype says",
        _PACKER,
        ("vectors", "layouts", "synthetic"),
        NARROW,
        bits=(8,),
        decode=spoilt(_signed),
    ),
    Mutant(
        "NW-06",
        Bug.LAYOUT_VERSION,
        "zero points of narrow words are taken for version 1 whatever the label says",
        _SOURCE,
        ("vectors", "synthetic"),
        NARROW,
        bits=(2, 4, 8),
        decode=misread(_always_first),
    ),
)
