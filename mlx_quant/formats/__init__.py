"""The formats this package decodes, one module each; the stem of the module is the format id.

A format module has ``TENSORS`` (local names of a packed module's tensors), ``REQUIRED`` (those that mark one) and
``decode(scheme, tensors) -> PackedWeights``.
"""

from __future__ import annotations

from types import ModuleType

from ..config import Scheme
from ..errors import UnsupportedFormat
from . import awq, gptq

ENABLED: dict[str, ModuleType] = {"awq": awq, "gptq": gptq}

# Refused by name until a module decodes them for real; the text says what a user can do instead.
REFUSED: dict[str, str] = {
    "aqlm": "additive codebooks; no integer-affine form",
    "auto-round": "AutoRound has several packings; export it as auto_gptq or auto_awq",
    "bitblas": "BitBLAS tile layout; re-export the checkpoint as plain GPTQ",
    "bitnet": "ternary weights with a divided scale",
    "bitsandbytes": "NF4 and LLM.int8 codebooks; dequantise with bitsandbytes first",
    "compressed-tensors": "weight_packed is a different layout and zero-point rule; not decoded yet",
    "eetq": "weights are pre-arranged for one CUDA kernel",
    "exl3": "trellis codes; no integer-affine form",
    "fbgemm-fp8": "8-bit floats, not integers",
    "fp8": "8-bit floats, not integers",
    "fp-quant": "weights live in a rotated basis",
    "higgs": "lattice codebooks with a Hadamard rotation",
    "hqq": "float zero points with two roundings; not decoded yet",
    "marlin": "Marlin tile layout; re-export the checkpoint as plain GPTQ",
    "modelopt": "NVFP4 and FP8 containers; not decoded yet",
    "mxfp4": "4-bit floats; mlx-lm reads these itself",
    "qqq": "8-bit activations with a two-level scale",
    "quanto": "not decoded yet",
    "quark": "not decoded yet",
    "quip": "incoherence processing and lattice codebooks",
    "quip-sharp": "incoherence processing and lattice codebooks",
    "spqr": "sparse outliers beside a two-level base",
    "torchao": "not decoded yet",
    "vptq": "vector codebooks",
}


def module_for(scheme: Scheme) -> ModuleType:
    """The module that decodes ``scheme``.

    Raises UnsupportedFormat ``unsupported-method``, naming what was found and what is supported.
    """
    if scheme.method in ENABLED:
        return ENABLED[scheme.method]
    reason = REFUSED.get(scheme.method, "never heard of")
    raise UnsupportedFormat(
        "unsupported-method",
        f"quant_method {scheme.method!r} is not decoded ({reason}); supported: {', '.join(sorted(ENABLED))}",
        where="quant_method",
    )
