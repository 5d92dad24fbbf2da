"""Which dialect a configuration is of, which are refused by name, and where configurations are found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import UnsupportedFormat
from . import (
    aqlm,
    autoround,
    awq,
    bitnet,
    bitsandbytes,
    compressed_tensors,
    fields,
    fp8,
    gemma,
    gptq,
    hqq,
    metal,
    modelopt,
    mxfp4,
    paroquant,
    qqq,
    quanto,
    quark,
    sinq,
    torchao,
    vptq,
)
from .schemes import Dialect, Schemes

# In the order in which they are asked.
DIALECTS: dict[str, Dialect] = {
    dialect.ID: dialect
    for dialect in (
        autoround,
        awq,
        gptq,
        compressed_tensors,
        fp8,
        modelopt,
        mxfp4,
        bitsandbytes,
        hqq,
        torchao,
        qqq,
        metal,
        quanto,
        quark,
        gemma,
        aqlm,
        bitnet,
        paroquant,
        sinq,
        vptq,
    )
}

# Files beside config.json that hold a configuration, in the order in which they win where only one says something,
# and the method that a file stands for whatever it says.
SIDECARS: dict[str, str | None] = {
    "quantize_config.json": None,
    "quant_config.json": None,
    "hf_quant_config.json": "modelopt",
    "quanto_qmap.json": "quanto",
    sinq.DESCRIBED_IN: "sinq",
}

# Refused by name until a dialect reads them; the text says what a user can do instead.
REFUSED: dict[str, str] = {
    "bitblas": "kept in the layout of the kernel that BitBLAS chose for a GPU; on a CPU GPTQModel 7.7.0 makes no such "
    "layer to hold a decoder to (ValueError: bitblas is not installed or the version is incompatible); re-export the "
    "checkpoint as plain GPTQ",
    "eetq": "weights are pre-arranged for one CUDA kernel, and nothing that packs or reads them was found to run on a "
    "CPU: PyPI has no eetq, and transformers 5.23.0 asks for kernels of a hub (ImportError: Loading an EETQ quantized "
    "model requires kernels)",
    "exl3": "trellis codes behind a Hadamard rotation of both sides. GPTQModel 7.7.0 reads them on a CPU, but does not "
    "define their bits: its weight and its own product with an identity differ in 92 % of all float32, one float16 in "
    "700 is not the one next to the exact value, and entries of its codebooks are not rounded to half, as its kernels "
    "round them (27,707 of 65,536 of the first one). It packs on a GPU alone (ValueError: EXL3 quantization requires "
    "CUDA/HIP)",
    "fouroversix": "4-bit floats of blocks that choose their own largest number; transformers 5.23.0 needs "
    "fouroversix, whose source package 1.0.5 was not built here (ModuleNotFoundError: No module named 'torch'; with "
    "torch 2.13.0 beside it, pip's metadata were not ready after 100 s)",
    "fp-quant": "weights live in a rotated basis, and inputs are rotated at run time; transformers 5.23.0 refuses a "
    "CPU (NotImplementedError: FPQuant quantization is only supported on GPU or Intel XPU), fp_quant 0.3.2 packs with "
    "qutlass, of which PyPI has an empty 0.0.0",
    "higgs": "lattice codebooks with a Hadamard rotation; transformers 5.23.0 refuses a CPU (NotImplementedError: "
    "HIGGS quantization is only supported on GPU), and flute-kernel 0.4.2 cannot be imported there (ImportError: "
    "libc10_cuda.so)",
    "marlin": "Marlin's tiles are read as method gptq with is_marlin_format, or as awq of version marlin",
    "qtip": "trellis codes behind incoherence processing; no package of it was found (PyPI's qtip 5.0.0 is another "
    "project)",
    "quanto-e5m2": "qfloat8_e5m2 and qfloat8_e4m3fnuz: quanto 0.2.7 reads them on a CPU, and MLX 0.32 opens no file "
    "that holds them (RuntimeError: [safetensor] unsupported dtype F8_E5M2)",
    "quip": "incoherence processing and lattice codebooks",
    "quip-sharp": "incoherence processing and lattice codebooks; PyPI has no package of it, and transformers 5.23.0 "
    "no such method",
    "spqr": "sparse outliers beside a two-level base; spqr_quant 0.2.0 compiles its CUDA kernels when it is imported "
    "(OSError: CUDA_HOME environment variable is not set), and transformers 5.23.0 refuses a CPU (RuntimeError: GPU "
    "is required to run SpQR quantized model)",
    "torchao-int4": "Int4Tensor and its packed layouts: torchao 0.18.0 raises NotImplementedError when asked to "
    "dequantise one, and its operation bf16i4bf16_rowwise is of mslk, of which PyPI has an empty 0.0.0",
    "torchao-mx-e5m2": "MXTensor of E5M2: torchao 0.18.0 packs, saves and reads it on a CPU, and MLX 0.32 opens no "
    "file that holds it (RuntimeError: [safetensor] unsupported dtype F8_E5M2)",
    "torchao-mx-fp6": "MXTensor of fp6_e2m3 and fp6_e3m2: torchao 0.18.0 packs and reads them on a CPU, a byte each, "
    "and MLX has no mode for them; no checkpoint of them was found",
    "torchao-nf4": "torchao 0.18.0 writes no NF4Tensor into safetensors (ValueError: Unsupported tensor type)",
}


def method_of(config: Mapping[str, Any]) -> str:
    """The id of the dialect that ``config`` names or implies, or the name of a method that none reads.

    Raises:
        UnsupportedFormat: ``not-quantized``.
        MalformedCheckpoint: ``bad-config-value``, ``config-contradiction``.
    """
    named = fields.method(config)
    found = next((dialect.ID for dialect in DIALECTS.values() if dialect.recognises(config, named)), named)
    if found is None:
        raise UnsupportedFormat("not-quantized", "no quant_method and none of the keys that imply one")
    return found


def schemes_of(config: Mapping[str, Any]) -> Schemes:
    """What ``config`` says of each module. The method comes first: what else a config must hold depends on it.

    Raises as :func:`method_of` and the dialect's ``schemes``, and UnsupportedFormat ``unsupported-method``.
    """
    method = method_of(config)
    if method not in DIALECTS:
        raise UnsupportedFormat(
            "unsupported-method",
            f"quant_method {method!r} is not decoded ({REFUSED.get(method, 'never heard of')}); "
            f"supported: {', '.join(sorted(DIALECTS))}. "
            "Use a GPTQ or AWQ (gemm) export of the model, or the original weights",
            where="quant_method",
        )
    found = DIALECTS[method].schemes(config)
    layers = config.get("quantized_layers")
    return modelopt.Changed(config, found) if layers and method != modelopt.ID else found


def beside(config: Mapping[str, Any], method: str | None) -> Mapping[str, Any]:
    """What ``config`` adds to that of another file, which is of ``method``; all of it, where both name one method."""
    return config if method in (None, modelopt.ID) else modelopt.changed(config)


def unfolded(content: Mapping[str, Any], method: str) -> dict[str, Any]:
    """A sidecar that keeps its settings one level down, or is a map of modules, beside the name of its producer."""
    if method == quanto.ID:
        return quanto.unfolded(content)
    if method == sinq.ID:
        return sinq.unfolded(content)
    inner = content.get("quantization")
    return {"quant_method": method} | (dict(inner) if isinstance(inner, Mapping) else {})


def under_old_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a ``config.json`` says under the keys that producers had before transformers knew them.

    compressed-tensors' settings may lie one level down; AQLM's first models have theirs under its own name.
    """
    old, aqlm = config.get("compression_config"), config.get("aqlm")
    inner = old.get("quantization_config") if isinstance(old, Mapping) else None
    named = {"quant_method": "aqlm"} | dict(aqlm) if aqlm and isinstance(aqlm, Mapping) else aqlm
    return {"compression_config": old if inner is None else inner, "aqlm": named}


def of_onnx(content: Mapping[str, Any] | None) -> bool:
    """Whether a sidecar speaks of ONNX files, whose exporter gives it a name that GPTQ's has."""
    return bool(content) and isinstance(content, Mapping) and "per_model_config" in content and "bits" not in content


def goes_by_headers(config: Mapping[str, Any]) -> bool:
    """Whether a dialect says of its modules nothing but what the headers of the files say."""
    return method_of(config) == torchao.ID


def described(config: Mapping[str, Any], said: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """``config`` with what the headers of the files say; ``config-contradiction`` where two of them differ."""
    return {**config, torchao.METADATA: torchao.gathered(said)}


def stated(config: Mapping[str, Any], method: str) -> dict[str, Any]:
    """The decisive fields that ``config`` spells out, in a form that compares across producers and spellings.

    Defaults are left out, so two files of a checkpoint agree when they say the same wherever both say something.
    """
    found = {field: fields.one(config, field) for field in ("bits", "group_size")}
    if fields.method(config) is not None:
        found["quant_method"] = method_of(config)
    if method in DIALECTS:
        found |= DIALECTS[method].stated(config)
    return {field: value for field, value in found.items() if value is not None}
