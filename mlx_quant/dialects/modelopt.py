"""NVIDIA ModelOpt's configurations, in ``config.json`` and in ``hf_quant_config.json``.

``quant_algo`` names what all modules are packed as; under ``MIXED_PRECISION``, ``quantized_layers`` names it for each
of them. ``ignore`` and ``exclude_modules`` are not followed: which modules are packed is seen from their tensors.
Source: nvidia-modelopt 0.47.0, ``torch/export/quant_utils.py`` and ``torch/export/convert_hf_config.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import QuantError, UnsupportedFormat
from . import fields
from .schemes import Scheme, Schemes

ID = "modelopt"


@dataclass(frozen=True)
class _Kind:
    packing: str
    bits: int
    group_size: int = -1
    block: tuple[int, int] | None = None
    sized: bool = False


# By quant_algo, lower case. The block size of fp8_pb_wo stands in no configuration.
_KINDS = {
    "fp8": _Kind("fp8", 8),
    "fp8_per_channel_per_token": _Kind("fp8", 8),
    "fp8_pb_wo": _Kind("fp8", 8, block=(128, 128)),
    "mxfp8": _Kind("fp8", 8, 32, (1, 32)),
    # Those named W4A8 quantise activations to FP8 as the model runs; their weights are the same.
    "mxfp4": _Kind("mxfp4", 4, 32, (1, 32)),
    "w4a8_mxfp4_fp8": _Kind("mxfp4", 4, 32, (1, 32)),
    "nvfp4": _Kind("nvfp4", 4, 16, (1, 16)),
    "w4a16_nvfp4": _Kind("nvfp4", 4, 16, (1, 16)),
    "w4a8_nvfp4_fp8": _Kind("nvfp4", 4, 16, (1, 16)),
    # Groups are as large as the configuration says; where it does not, the tensors tell.
    "w4a16_awq": _Kind("modelopt_int4", 4, sized=True),
}
# Known by name, with what stands in the way.
_NOT = {
    "w4a8_awq": "its weights are rounded to FP8 once more, by a scale of which the file holds no more than the rounded "
    "inverse, and no reader of it runs without CUDA",
    "nvfp4_awq": "its inputs have scales of their own",
    "nvfp4_svd": "its weights have a part of low rank beside them",
}
_MIXED = "mixed_precision"


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    return named == ID


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    algorithm = config.get("quant_algo")
    return {"quant_algo": None if algorithm is None else _folded(algorithm)}


def schemes(config: Mapping[str, Any]) -> Schemes:
    return _Layers(config)


def changed(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a mixture, what it names: it may lie beside the configuration of the model that ModelOpt was given.

    NVIDIA's DeepSeek models have DeepSeek's ``config.json``, and name the layers that became NVFP4 in their own file,
    or in the same object, whose ``quant_method`` stays that of the other layers.
    """
    if _folded(config.get("quant_algo")) != _MIXED or not config.get("quantized_layers"):
        return config
    own = ("quant_method", "quant_algo") if fields.method(config) == ID else ("quant_algo",)
    return {key: value for key, value in config.items() if key not in own}


class Changed:
    """Schemes of another dialect, but for the layers that ModelOpt names. Raises as :func:`schemes`."""

    def __init__(self, config: Mapping[str, Any], others: Schemes) -> None:
        self._layers, self._others = _Layers(config), others

    @property
    def default(self) -> Scheme:
        return self._others.default

    def scheme(self, module: str) -> Scheme:
        return (self._layers if self._layers.place(module) else self._others).scheme(module)

    def place(self, module: str) -> str | None:
        return self._layers.place(module) or self._others.place(module)


class _Layers:
    """One algorithm for all modules, or one for each that ``quantized_layers`` names."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        algorithm = config.get("quant_algo")
        layers = config.get("quantized_layers") or {}
        if not isinstance(layers, Mapping) or not all(isinstance(rule, Mapping) for rule in layers.values()):
            raise fields.bad("quantized_layers", layers, "an object of objects")
        if layers and (algorithm is None or _folded(algorithm) == _MIXED):
            # Of a module that no rule names, but whose tensors are packed, the commonest algorithm is as good as any.
            named = [str(rule.get("quant_algo")) for rule in layers.values()]
            algorithm = max(dict.fromkeys(named), key=named.count)
        self.default = _scheme(algorithm, config)
        self._layers = {str(name): rule for name, rule in layers.items()}

    def scheme(self, module: str) -> Scheme:
        name = self._named(module)
        if name is None:
            return self.default
        try:
            return _scheme(self._layers[name].get("quant_algo"), self._layers[name])
        except QuantError as error:
            raise type(error)(error.code, error.message, where=self.place(module)) from None

    def place(self, module: str) -> str | None:
        name = self._named(module)
        return None if name is None else f"quantized_layers: {name}"

    def _named(self, module: str) -> str | None:
        """The module's own name, or that of the nearest one around it: experts may be named by what holds them."""
        name = module
        while name and name not in self._layers:
            name = name.rpartition(".")[0]
        return name or None


def _scheme(algorithm: object, config: Mapping[str, Any]) -> Scheme:
    kind = _KINDS.get(_folded(algorithm))
    if kind is None:
        raise UnsupportedFormat(
            "unsupported-layout",
            f"quant_algo {algorithm!r} is not decoded ({_NOT.get(_folded(algorithm), 'never heard of')}); "
            f"supported: {', '.join(sorted(_KINDS))}. Use an export with one of them",
            where="quant_algo",
        )
    if kind.sized:
        return Scheme(dialect=ID, packing=kind.packing, bits=kind.bits, group_size=_groups(config), layout=ID, sym=True)
    size = config.get("group_size")
    if size is not None and kind.group_size != -1 and size != kind.group_size:
        raise UnsupportedFormat(
            "unsupported-group-size", f"is {size!r}; {algorithm} has groups of {kind.group_size}", where="group_size"
        )
    return Scheme(
        dialect=ID, packing=kind.packing, bits=kind.bits, group_size=kind.group_size, layout=ID, block=kind.block
    )


def _groups(config: Mapping[str, Any]) -> int:
    size = fields.integer(config, "group_size", -1)
    if size < 1 and fields.one(config, "group_size") is not None:
        raise fields.bad("group_size", size, "a positive number")
    return size


def _folded(algorithm: object) -> str:
    return str(algorithm).lower()
