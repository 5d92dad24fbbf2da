"""The formats of the suite by id: one package each. What is none of them is None or an error, never another format."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from . import (
    aqlm,
    awq_gemm,
    awq_gemv,
    awq_gemv_fast,
    bitnet,
    bnb_4bit,
    bnb_int8,
    ct_int,
    ct_packed,
    fp8,
    fp8_parts,
    gemma_quant,
    gptq,
    gptq_marlin,
    gptq_narrow,
    gptq_planar,
    hqq,
    metal,
    modelopt_int4,
    mxfp4,
    nvfp4,
    paroquant,
    qqq,
    quanto_int4,
    quanto_int8,
    quark_int,
    sinq,
    torchao_int8,
    torchao_mx,
    vptq,
)
from .dialects import DIALECTS, modelopt
from .parts import Config, Integer, Parts, Tensors
from .protocol import Format

FORMATS: dict[str, Format] = {
    format.ID: format
    for format in (
        awq_gemm,
        gptq,
        # Checkpoints of these have modules of FP8, the first of them of MXFP4 too, and count as theirs.
        quark_int,
        mxfp4,
        nvfp4,
        modelopt_int4,
        fp8,
        ct_packed,
        ct_int,
        awq_gemv,
        awq_gemv_fast,
        bnb_4bit,
        bnb_int8,
        gptq_planar,
        gptq_marlin,
        gptq_narrow,
        hqq,
        # Of the dialects of those below, and named by less than they are.
        fp8_parts,
        torchao_mx,
        torchao_int8,
        qqq,
        metal,
        quanto_int4,
        quanto_int8,
        gemma_quant,
        aqlm,
        bitnet,
        paroquant,
        sinq,
        vptq,
    )
}
BY_SLUG: dict[str, Format] = {format.SLUG: format for format in FORMATS.values()}


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


def integers(config: Config, tensors: Tensors) -> Integer:
    """The same of a format of integer codes; TypeError of another one."""
    found = parts(config, tensors)
    if not isinstance(found, Integer):
        raise TypeError(f"no integer codes: {found}")
    return found


def config_of(config: Config, module: str) -> dict[str, Any]:
    """What the config of a checkpoint says of one of its modules, by its name."""
    if (own := modelopt.layer_of(config, module)) is not None:
        return own
    dialect = next((dialect for dialect in DIALECTS if dialect.reads(config)), None)
    return (dialect or known(config)).config_of(config, module)


@cache
def leaves() -> tuple[str, ...]:
    """Local names of all tensors of all formats, longest first, so that a name is never taken for a shorter one."""
    return tuple(sorted({leaf for format in FORMATS.values() for leaf in format.LEAVES}, key=lambda n: (-len(n), n)))


@cache
def marks() -> tuple[str, ...]:
    """Local names of which one is enough to say that a module is packed."""
    own = (getattr(format, "MARKS", format.LEAVES[:1]) for format in FORMATS.values())
    return tuple(dict.fromkeys(mark for marks in own for mark in marks))


def named(slugs: Iterable[str]) -> list[Format]:
    """The formats of these published names, in the order of the suite; others are left out."""
    wanted = set(slugs)
    return [format for format in FORMATS.values() if format.SLUG in wanted]
