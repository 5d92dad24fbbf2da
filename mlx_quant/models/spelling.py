"""Keys of a ``config.json`` that mlx-lm's classes read and transformers no longer writes, told from those it does."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ..errors import UnsupportedFormat

# Of a type: the key that mlx-lm reads, the key that means the same, and what transformers assumes without either.
_SAME: Mapping[str, Mapping[str, tuple[str, Any]]] = {
    "exaone4": {"rope_scaling": ("rope_scaling", None)},
    "gpt2": {"n_ctx": ("n_positions", 1024)},
    "gpt_neox": {"rotary_emb_base": ("rope_theta", 10000), "rotary_pct": ("partial_rotary_factor", 0.25)},
    "lfm2": {"block_dim": ("hidden_size", None)},
    # mlx-lm asks for it, and makes nothing of it.
    "minimax_m2": {"shared_intermediate_size": ("shared_intermediate_size", 0)},
}
# Types whose class in mlx-lm counts layers by ``sliding_window_pattern``, where transformers lists ``layer_types``, and
# whether it is a string, one letter a layer.
_PATTERNS = {"cohere2": False, "exaone4": True, "gemma3_text": False}
# Text models that mlx-lm has as the only part of a larger one.
_INSIDE = {"qwen3_5_moe_text": "qwen3_5_moe", "qwen3_5_text": "qwen3_5"}
_FULL = "full_attention"
# Of one layer in transformers, and of all that see everything in mlx-lm.
_OWN = {"head_dim": "global_head_dim", "num_key_value_heads": "num_global_key_value_heads"}


def respelled(config: dict[str, Any]) -> None:
    """Write into ``config``, that of a text model or the part of a larger one that is, the keys that mlx-lm reads.

    UnsupportedFormat ``unsupported-architecture`` for an order of layers that its class cannot be told.
    """
    name = str(config.get("model_type"))
    for key, (other, default) in _SAME.get(name, {}).items():
        if config.get(key) is None:
            config[key] = config.get(other, default)
    if name in _PATTERNS:
        _patterned(config, name)
    if name == "gemma4_text" and "per_layer_config" in config:
        _by_layer(config, name)
    width = config.get("head_dim")
    if name == "minimax_m2" and config.get("rotary_dim") is None and isinstance(width, int):
        part = config.get("partial_rotary_factor")
        config["rotary_dim"] = int(width * part) if isinstance(part, int | float) else width


def nested(config: dict[str, Any]) -> None:
    """Put a text model's ``config`` inside that of the larger model, where mlx-lm has only this."""
    outer = _INSIDE.get(str(config.get("model_type")))
    if outer and "text_config" not in config:
        config["text_config"] = copy.deepcopy(config)
        config["model_type"] = outer


def _patterned(config: dict[str, Any], name: str) -> None:
    types, lettered = config.get("layer_types"), _PATTERNS[name]
    if lettered and config.get("sliding_window") is None:
        config["sliding_window_pattern"] = None
        return
    if not isinstance(types, list) or not types:
        every = config.get("sliding_window_pattern")
        if lettered and isinstance(every, int):
            config["sliding_window_pattern"] = "L" * min(every - 1, 4096) + "G" if every > 0 else None
        return
    full = [kind == _FULL for kind in types]
    every = _period(full)
    if lettered:
        config["sliding_window_pattern"] = "".join("G" if one else "L" for one in full[:every])
    elif full[:every] == [False] * (every - 1) + [True]:
        config["sliding_window_pattern"] = every
    else:
        raise UnsupportedFormat(
            "unsupported-architecture",
            f"{sum(full)} of {len(full)} layers see everything, and mlx-lm's {name} knows only one such layer in so "
            "many; use a newer mlx-lm",
            where="config.json: layer_types",
        )


def _by_layer(config: dict[str, Any], name: str) -> None:
    """What layers that see everything have of their own, which transformers 5 says of each layer by its number."""
    own, types = config["per_layer_config"], config.get("layer_types")
    if not isinstance(own, Mapping) or not isinstance(types, list):
        return
    said = [own.get(str(layer)) or {} for layer in range(len(types))]
    full = [one for one, kind in zip(said, types, strict=True) if kind == _FULL]
    rest = [one for one, kind in zip(said, types, strict=True) if kind != _FULL]
    known = all(isinstance(one, Mapping) and one.keys() <= _OWN.keys() for one in full)
    if any(rest) or not known or any(one != full[0] for one in full):
        raise UnsupportedFormat(
            "unsupported-architecture",
            f"mlx-lm's {name} knows a {' and a '.join(_OWN)} of all layers that see everything, and no others; use a "
            "newer mlx-lm",
            where="config.json: per_layer_config",
        )
    for key, globally in _OWN.items():
        value = full[0].get(key, config.get(key)) if full else None
        if value is not None:
            config.setdefault(globally, value)


def _period(full: list[bool]) -> int:
    """Layers after which all repeats."""
    return next(step for step in range(1, len(full) + 1) if full[step:] == full[:-step] or step == len(full))
