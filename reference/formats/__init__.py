"""The formats by the stems of their files; what is none of them is refused."""

from __future__ import annotations

from types import ModuleType

from ..config import Config, setting
from ..unpacked import Refused
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

FORMATS: dict[str, ModuleType] = {
    "gptq_marlin": gptq_marlin,
    "awq_gemm": awq_gemm,
    "awq_gemv": awq_gemv,
    "awq_gemv_fast": awq_gemv_fast,
    "bitnet": bitnet,
    "bnb_4bit": bnb_4bit,
    "bnb_int8": bnb_int8,
    "ct_int": ct_int,
    "ct_packed": ct_packed,
    "fp8": fp8,
    # Before the formats of the same methods, which are named by less.
    "fp8_parts": fp8_parts,
    "torchao_mx": torchao_mx,
    "gemma_quant": gemma_quant,
    "gptq_planar": gptq_planar,
    "gptq_narrow": gptq_narrow,
    "gptq": gptq,
    "hqq": hqq,
    "modelopt_int4": modelopt_int4,
    "metal": metal,
    "mxfp4": mxfp4,
    "nvfp4": nvfp4,
    "torchao_int8": torchao_int8,
    "qqq": qqq,
    "quanto_int4": quanto_int4,
    "quanto_int8": quanto_int8,
    "quark_int": quark_int,
    "aqlm": aqlm,
    "paroquant": paroquant,
    "sinq": sinq,
    "vptq": vptq,
}


def named(config: Config) -> ModuleType:
    """The format of a ``quantization_config``."""
    for format in FORMATS.values():
        if format.names(config):
            return format
    raise Refused(f"quant_method is {setting(config, 'quant_method')!r}, expected one of {slugs()}")


def slugs() -> list[str]:
    """The names under which formats are published."""
    return sorted(format.SLUG for format in FORMATS.values())
