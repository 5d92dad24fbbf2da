"""Nothing about narrow words is disputed; settings, versions and words may be chosen, and a label may lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import words as wide
from ..draw import Draw
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import WIDTHS, config, pack

SLUG = "gptq_narrow"
_OPTIONAL = ("desc_act", "dynamic", "format", "meta", "static_groups", "sym", "true_sequential", "method", "quantizer")


def spellings() -> Iterator[Spelling]:
    draw = Draw(f"{SLUG}-spellings")
    for bits in WIDTHS:
        limit, suffix = 1 << bits, "" if bits == WIDTHS[0] else f"-{bits}bit"
        numbers = draw.below(limit, 64, 128), draw.below(limit, 4, 64), draw.scales("float16", "ordinary", 4, 64)
        settings, tensors = config(bits, 32), pack(*numbers, bits=bits)
        if bits == WIDTHS[0]:
            yield from nulls(SLUG, settings, tensors, _OPTIONAL)
            named = {"quant_method": "gptq", "checkpoint_format": "gptq", "pack_dtype": "int8"}
            yield from upper_case(SLUG, settings, tensors, named)
            old = {key: value for key, value in settings.items() if key != "quant_method"}
            yield from nulls(SLUG, old, tensors, ("quant_method",))
        longer = config(bits, 32, "int16"), pack(*numbers, bits=bits, word="int16")
        for id, policy, given, plain in (
            *((id, id, given, (settings, tensors)) for id, given in _said(settings, tensors)),
            ("int16", "words", longer, (settings, tensors)),
            ("version-2", "version-2", _second(bits, *numbers), (settings, tensors)),
            *((f"{word}-wide", "wide", given, plain) for word, given, plain in _wide(bits, *numbers)),
            *((id, "mislabelled", given, plain) for id, given, plain in _labels(bits, *numbers)),
        ):
            yield Spelling(f"{SLUG}-{id}{suffix}", f"{SLUG}-{policy}", *given, *plain)


_Module = tuple[dict[str, Any], dict[str, Array]]


def _said(settings: dict[str, Any], tensors: dict[str, Array]) -> Iterator[tuple[str, _Module]]:
    unlabelled = {key: value for key, value in settings.items() if key != "checkpoint_format"}
    yield "format", (unlabelled | {"format": "gptq"}, tensors)
    yield "no-label", (unlabelled, tensors)
    both = {"format": "gptq", "method": "gptq", "meta": {"quantizer": ["gptqmodel:7.7.0"]}}
    yield "as-written", (settings | both, tensors)
    yield "g_idx", (settings, tensors | {"g_idx": Array.of(np.arange(128, dtype=np.int32) // 32)})


def _second(bits: int, codes: np.ndarray, zeros: np.ndarray, scales: Array) -> _Module:
    return config(bits, 32) | {"checkpoint_format": "gptq_v2"}, pack(codes, zeros, scales, bits=bits, version=2)


def _wide(bits: int, codes: np.ndarray, zeros: np.ndarray, scales: Array) -> Iterator[tuple[str, _Module, _Module]]:
    """In words of 32 bits, which are version 2 of GPTQ."""
    tensors = {"qweight": Array.of(np.ascontiguousarray(wide(codes, bits).T)), "qzeros": Array.of(wide(zeros, bits))}
    for word in ("int8", "int16"):
        settings = config(bits, 32, word)
        plain = settings | {"pack_dtype": "int32", "checkpoint_format": "gptq_v2"}, tensors | {"scales": scales}
        yield word, (settings, pack(codes, zeros, scales, bits=bits, word=word)), plain


def _labels(bits: int, codes: np.ndarray, _: np.ndarray, scales: Array) -> Iterator[tuple[str, _Module, _Module]]:
    """Symmetric modules whose zero points are all what the other label stores."""
    middle = np.full((4, 64), 1 << (bits - 1))
    first, second = config(bits, 32), config(bits, 32) | {"checkpoint_format": "gptq_v2"}
    eights, sevens = (pack(codes, middle, scales, bits=bits, version=version) for version in (2, 1))
    plain = first | {"sym": True}, sevens
    yield "v1-label-stores-eights", (first | {"sym": True}, eights), plain
    yield "v2-label-stores-sevens", (second | {"sym": True}, sevens), plain
    yield "eights-where-sym-is-absent", ({key: value for key, value in first.items() if key != "sym"}, eights), plain
    # Of an asymmetric module the label is believed, and of a symmetric one with one that differs.
    nines = second, pack(codes, middle + 1, scales, bits=bits, version=2)
    yield "eights-of-an-asymmetric-file", (first, eights), nines
    nearly = middle.copy()
    nearly[-1, -1] -= 1
    given = pack(codes, nearly, scales, bits=bits, version=2)
    yield "eights-in-all-fields-but-one", (first | {"sym": True}, given), (first, given)


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
