"""The formats this package decodes, one module each; the stem of the module is the format id.

Calling the package, ``mlx_quant.formats()``, lists them. A format module has ``TENSORS`` (local names of a packed
module's tensors), ``REQUIRED`` (those that mark one), ``BITS`` and ``LAYOUTS`` (what of it is decoded), and
``decode(scheme, tensors) -> PackedWeights``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from ..errors import UnsupportedFormat
from . import awq, gptq

ENABLED: dict[str, ModuleType] = {"awq": awq, "gptq": gptq}

# Decoded by a module that the conformance suite has not passed yet; loading refuses them like the rest.
CANDIDATES: dict[str, str] = {}

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


@dataclass(frozen=True)
class FormatStatus:
    """Whether one format is decoded.

    Attributes:
        name: format id, as in ``quant_method``.
        status: ``"enabled"``, ``"candidate"`` or ``"refused"``.
        reason: why not, or what of it is decoded.
        bits, layouts: what of an enabled format is decoded; empty otherwise.
    """

    name: str
    status: Literal["enabled", "candidate", "refused"]
    reason: str
    bits: tuple[int, ...] = ()
    layouts: tuple[str, ...] = ()


def listing() -> dict[str, FormatStatus]:
    """Every format this package has heard of, by format id: the enabled ones, the candidates, the refused ones."""
    found = {}
    for name, module in sorted(ENABLED.items()):
        reason = f"{', '.join(map(str, module.BITS))} bits, layout {', '.join(module.LAYOUTS)}"
        found[name] = FormatStatus(name, "enabled", reason, module.BITS, module.LAYOUTS)
    found |= {name: FormatStatus(name, "candidate", reason) for name, reason in sorted(CANDIDATES.items())}
    return found | {name: FormatStatus(name, "refused", reason) for name, reason in sorted(REFUSED.items())}


def module_named(method: str) -> ModuleType:
    """The module that decodes the format ``method``.

    Raises UnsupportedFormat ``unsupported-method``, naming what was found, what is supported and what to do.
    """
    if method in ENABLED:
        return ENABLED[method]
    reason = CANDIDATES.get(method) or REFUSED.get(method, "never heard of")
    raise UnsupportedFormat(
        "unsupported-method",
        f"quant_method {method!r} is not decoded ({reason}); supported: {', '.join(sorted(ENABLED))}. "
        "Use a GPTQ or AWQ (gemm) export of the model, or the original weights",
        where="quant_method",
    )


class _Callable(ModuleType):
    """The public API has ``mlx_quant.formats()`` and the modules ``mlx_quant.formats.gptq`` under one name."""

    __call__ = staticmethod(listing)


sys.modules[__name__].__class__ = _Callable
