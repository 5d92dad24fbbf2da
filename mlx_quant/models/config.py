"""The ``config.json`` of a checkpoint as every loader reads it alike, without its quantisation."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ..errors import MalformedCheckpoint
from .defaults import fill_in


def config_for(config: Mapping[str, Any], *, dtype: str | None = None) -> dict[str, Any]:
    """``config.json`` of the converted checkpoint: no quantisation, both spellings of dtype and of RoPE, absent keys
    as Hugging Face means them.

    Args:
        config: the packed checkpoint's.
        dtype: ``"float16"``, ...; None keeps what the config says.

    Raises MalformedCheckpoint ``config-contradiction`` where two spellings disagree.
    """
    result = copy.deepcopy(dict(config))
    result.pop("auto_map", None)  # names classes in code that is not copied
    result.pop("quantize_activations", None)  # of MLX's packed floats, which no conversion writes
    fill_in(result)
    text = result.get("text_config")
    if text is None:
        result.pop("text_config", None)  # mlx-lm looks into it
    for part in [result, text] if isinstance(text, dict) else [result]:
        part.pop("quantization_config", None)
        _both_ropes(part)
        stated = dtype or part.get("dtype") or part.get("torch_dtype")
        if stated and (part is result or "dtype" in part or "torch_dtype" in part):
            # transformers 5 writes `dtype`, everything older reads `torch_dtype`.
            part["torch_dtype"] = part["dtype"] = str(stated).removeprefix("torch.")
    return result


def _both_ropes(config: dict[str, Any]) -> None:
    """Fill in ``rope_theta`` and ``rope_scaling`` (transformers 4, mlx-lm) or ``rope_parameters`` (transformers 5).

    A loader that knows only the spelling that is absent falls back to its own default theta and says nothing.
    """
    new = config.get("rope_parameters")
    if isinstance(new, Mapping) and new:
        # Flat keys beside entries of layer types are not read by transformers.
        nested = {key: value for key, value in new.items() if isinstance(value, Mapping)}
        per_layer_type = bool(nested)
        new = config["rope_parameters"] = nested or dict(new)
        rope = new.get("full_attention", {}) if per_layer_type else new
        _fill(config, "rope_theta", rope.get("rope_theta"))
        _fill(config, "partial_rotary_factor", rope.get("partial_rotary_factor"))
        if per_layer_type:
            _fill(config, "rope_local_base_freq", new.get("sliding_attention", {}).get("rope_theta"))
        kind = rope.get("rope_type", "default")
        if kind != "default" and not config.get("rope_scaling"):
            scaling = {key: value for key, value in rope.items() if key != "rope_theta"}
            config["rope_scaling"] = scaling | {"rope_type": kind, "type": kind}
    elif "rope_theta" in config and not _differs_by_layer(config):
        scaling = dict(config.get("rope_scaling") or {})
        kind = scaling.get("rope_type") or scaling.pop("type", None) or "default"
        config["rope_parameters"] = scaling | {"rope_type": kind, "rope_theta": config["rope_theta"]}
        if "partial_rotary_factor" in config:
            config["rope_parameters"]["partial_rotary_factor"] = config["partial_rotary_factor"]


def _differs_by_layer(config: Mapping[str, Any]) -> bool:
    """Whether layers may have a RoPE each, of which ``rope_theta`` is but one or none."""
    types = config.get("layer_types")
    return "rope_local_base_freq" in config or (isinstance(types, list) and len(set(map(str, types))) > 1)


def _fill(config: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        return
    if config.get(key) is not None and config[key] != value:
        raise MalformedCheckpoint(
            "config-contradiction",
            f"is {config[key]!r}, but rope_parameters says {value!r}; keep the one the model was trained with",
            where=f"config.json: {key}",
        )
    config[key] = value
