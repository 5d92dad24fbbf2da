"""The formats of the suite by id: one package each. What is none of them is None or an error, never another format."""

from __future__ import annotations

from collections.abc import Iterable

from . import awq_gemm, gptq
from .parts import Config, Parts, Tensors
from .protocol import Format

FORMATS: dict[str, Format] = {format.ID: format for format in (awq_gemm, gptq)}
BY_SLUG: dict[str, Format] = {format.SLUG: format for format in FORMATS.values()}


def label(format: Format, bits: int) -> str:
    """What ids call a format at one width: its usual width goes without saying."""
    return format.SLUG if bits == format.WIDTHS[0] else f"{format.SLUG}-{bits}bit"


def format_of(config: Config) -> Format | None:
    """The format a config names or implies; None for any that the suite has not."""
    return next((format for format in FORMATS.values() if format.names(config)), None)


def known(config: Config) -> Format:
    """The same, where it must be one. ValueError otherwise."""
    if (format := format_of(config)) is None:
        raise ValueError(f"no format of the suite: {dict(config)}")
    return format


def parts(config: Config, tensors: Tensors) -> Parts:
    """A sound module taken apart."""
    return known(config).parts(config, tensors)


def named(slugs: Iterable[str]) -> list[Format]:
    """The formats of these published names, in the order of the suite; others are left out."""
    wanted = set(slugs)
    return [format for format in FORMATS.values() if format.SLUG in wanted]
