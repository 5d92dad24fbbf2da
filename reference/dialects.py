"""What a checkpoint's configuration says of one of its modules by name, as a configuration of that module alone."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import torch

from . import autoround, gemma
from .config import Config, overridden, setting
from .unpacked import Refused

# compressed-tensors' own.
METHOD = "compressed-tensors"
QUARK = "quark"
DEEPSEEK = "deepseek"
VPTQ = "vptq"


def settings_of(module: str, quantization: Config) -> dict[str, Any]:
    """The settings of one module, in the dialect of the checkpoint; uniform ones are everybody's."""
    if layer := (quantization.get("quantized_layers") or {}).get(module):
        # ModelOpt's mixed precision has an algorithm for each layer by its name.
        return {"quant_method": "modelopt"} | layer
    if isinstance(entries := quantization.get("quantization_map"), dict):
        # quanto's, by the names of modules.
        return {"quant_method": "quanto"} | (entries.get(module) or {})
    if str(quantization.get("quant_method")).lower() == VPTQ:
        return _of_names(module, quantization)
    if quantization.get("quant_method") == "torchao":
        # The header of a file describes each weight by its name.
        entries = quantization.get("metadata") or {}
        return dict(quantization) | {"metadata": {"weight": entries.get(f"{module}.weight")}}
    if isinstance(entries := quantization.get("modules"), dict):
        # What a file says of each module by its name.
        return dict(quantization) | {"modules": {"": entries.get(module)}}
    if gemma.wrote(quantization):
        return gemma.settings_of(module, quantization)
    if of_fours(quantization):
        # Of routed experts alone.
        expert = "experts" in module.split(".")
        return {key: value for key, value in quantization.items() if key != "expert_dtype" or expert}
    if autoround.wrote(quantization):
        return autoround.settings_of(module, quantization)
    if "config_groups" in quantization:
        return _of_groups(module, quantization)
    if quark(quantization):
        return _of_patterns(module, quantization)
    return _dynamic(module, quantization)


def of_fours(config: Config) -> bool:
    """Whether a module is one of DeepSeek V4's experts, which are FP4 beside modules that are FP8.

    Source: transformers 5.23.0, ``configuration_deepseek_v4.py``, which moves ``expert_dtype`` into these settings.
    """
    return setting(config, "quant_method") == "fp8" and config.get("expert_dtype") == "fp4"


def quark(config: Config) -> bool:
    """Whether AMD's Quark wrote a config."""
    return "global_quant_config" in config and str(config.get("quant_method") or QUARK).lower() == QUARK


def _of_patterns(module: str, quantization: Config) -> dict[str, Any]:
    """Quark's ``layer_quant_config``: the first of a shell's patterns that fits the name, else what is global.

    Source: amd-quark 0.13, ``quant_config_parser.py`` (``get_layer_quant_config``).
    """
    layers = quantization.get("layer_quant_config") or {}
    fit = [layer for pattern, layer in layers.items() if fnmatch.fnmatch(module, pattern) and layer.get("weight")]
    own = {"global_quant_config": fit[0]} if fit else {}
    return dict(quantization) | {"layer_quant_config": {}} | own


def quark_weight(config: Config) -> dict[str, Any]:
    """The type of a module's weights. Refused where it is one of several stages, or no type."""
    weight: Any = config["global_quant_config"].get("weight")
    stages = weight if isinstance(weight, list) else [weight]
    if len(stages) != 1 or not isinstance(stages[0], dict):
        raise Refused(f"weight is {weight!r}, expected one type")
    return stages[0]


def quark_type(config: Config) -> str:
    """Its name; "" of any other config."""
    if not quark(config):
        return ""
    try:
        return str(quark_weight(config).get("dtype")).lower()
    except Refused:
        return "several"


def quark_scheme(config: Config) -> str:
    weight = quark_weight(config)
    scheme, axis = weight.get("qscheme"), weight.get("ch_axis")
    axes = {"per_tensor": (None, axis), "per_channel": (None, 0, -2), "per_group": (None, 1, -1)}.get(str(scheme), ())
    if axis not in axes:
        raise Refused(f"qscheme {scheme!r} along axis {axis!r}")
    return str(scheme)


def _dynamic(module: str, quantization: Config) -> dict[str, Any]:
    """GPTQModel's ``dynamic``: the first pattern that matches the start of the name decides; ``-:`` means unpacked."""
    own = {key: value for key, value in quantization.items() if key != "dynamic"}
    for pattern, other in (quantization.get("dynamic") or {}).items():
        if re.match(pattern.removeprefix("+:").removeprefix("-:"), module):
            return own if pattern.startswith("-:") else overridden(own, other or {})
    return own


def _of_groups(module: str, quantization: Config) -> dict[str, Any]:
    """compressed-tensors' ``config_groups``: names first, then patterns in the order of their text, then classes.

    Source: compressed-tensors 0.19, ``utils/match.py`` (``match_targets``). Which class a module has is not known from
    its name; every packed module is of one that is targeted, and all but embeddings are ``Linear``.
    """
    groups = {name: group for name, group in quantization["config_groups"].items() if group.get("weights")}
    pairs = [(target, name) for name, group in groups.items() for target in group["targets"]]
    exact = [name for target, name in pairs if target == module]
    patterns = sorted((target, name) for target, name in pairs if target.startswith("re:"))
    matching = [name for target, name in patterns if re.match(target[3:], module)]
    first = "Embedding" if module.endswith("embed_tokens") else "Linear"
    classes = sorted((target != first, target, name) for target, name in pairs if re.fullmatch(r"[A-Z]\w*", target))
    chosen = [*exact, *matching, *(name for _, _, name in classes)]
    if not chosen:
        raise Refused(f"no group of config_groups targets {module}")
    return dict(quantization) | {"config_groups": {chosen[0]: groups[chosen[0]]}}


def group_of(config: Config) -> tuple[str, str]:
    """Format and type of the weights of a module's only group, or of the first of several."""
    if config.get("quant_method") not in (None, METHOD):
        return "", ""
    group = only_group(config)
    weights = group.get("weights") or {}
    return str(group.get("format") or config.get("format")), str(weights.get("type") or "int")


def release(config: Config) -> tuple[int, ...]:
    """The version of compressed-tensors that wrote the config; a late one if it does not say."""
    return tuple(int(number) for number in re.findall(r"\d+", str(config.get("version") or "99"))[:3])


def only_group(config: Config) -> Any:
    """A module's only group, or the first of several that quantises weights."""
    groups = config["config_groups"]
    found = [group for group in groups.values() if group.get("weights")] if isinstance(groups, dict) else []
    if not found:
        raise Refused("no group of config_groups quantises weights")
    return found[0]


@dataclass(frozen=True)
class Arguments:
    """How compressed-tensors quantised the weight of a module."""

    bits: int
    strategy: str
    size: int
    symmetric: bool
    by_map: bool

    def scales(self, stored: torch.Tensor, out: int) -> torch.Tensor:
        """[groups, out], of [out, groups], [out, 1] or one element."""
        if stored.dtype not in (torch.float16, torch.bfloat16, torch.float32):
            raise Refused(f"weight_scale is {stored.dtype}, expected float16, bfloat16 or float32")
        if not torch.isfinite(stored).all():
            raise Refused("scales are not all finite")
        if self.strategy == "tensor":
            if stored.numel() != 1:
                raise Refused(f"weight_scale has shape {tuple(stored.shape)}, expected one element")
            return stored.reshape(1, 1).expand(1, out)
        if stored.ndim != 2 or len(stored) != out or 0 in stored.shape:
            raise Refused(f"weight_scale has shape {tuple(stored.shape)}, expected {out} rows")
        if self.strategy == "channel" and stored.shape[1] != 1:
            raise Refused(f"weight_scale has shape {tuple(stored.shape)}, expected one column")
        return stored.T.contiguous()


def arguments(config: Config, widths: Container[int]) -> Arguments:
    """Those of a module's only group. Refused where they are not what integers are packed by."""
    if config.get("transform_config"):
        raise Refused("the weights are in a rotated basis")
    if (config.get("sparsity_config") or {}).get("format", "dense") != "dense":
        raise Refused("the weights are stored sparse")
    weights = only_group(config)["weights"]
    bits, size = weights.get("num_bits", 8), weights.get("group_size")
    if type(bits) is not int or bits not in widths:
        raise Refused(f"{bits!r} bits, expected one of {widths}")
    guess = "group" if size not in (None, -1) else "channel" if size == -1 else "tensor"
    strategy = weights.get("strategy") or guess
    if strategy not in ("tensor", "channel", "group"):
        raise Refused(f"strategy {strategy!r}, expected tensor, channel or group")
    if strategy == "group" and (type(size) is not int or size < 1):
        raise Refused(f"group_size is {size!r}, expected a positive integer")
    symmetric = weights.get("symmetric", True)
    if type(symmetric) is not bool:
        raise Refused(f"symmetric is {symmetric!r}, expected true or false")
    by_map = str(weights.get("actorder")) in ("group", "dynamic", "True")
    return Arguments(bits, strategy, size if strategy == "group" else -1, symmetric, by_map)


def _of_names(module: str, quantization: Config) -> dict[str, Any]:
    """VPTQ's, by the name of a module, or by the last part of it."""
    for key, name in (("config_for_layers", module), ("shared_layer_config", module.rpartition(".")[2])):
        entries = quantization.get(key)
        if isinstance(entries, dict) and name in entries:
            return {"quant_method": VPTQ, "config_for_layers": {module: entries[name]}}
    raise Refused(f"nothing is said of {module}")
