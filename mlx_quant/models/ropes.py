"""RoPE in a ``config.json``: as transformers 4 and mlx-lm write it, and as transformers 5 does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import MalformedCheckpoint

# Of no rope_scaling: the first needs none, the second is younger, and transformers would take it for all layers.
_NEVER_OLD = ("default", "proportional")
_FULL, _SLIDING = "full_attention", "sliding_attention"


def both_ropes(config: dict[str, Any]) -> None:
    """Fill in ``rope_theta`` and ``rope_scaling`` (transformers 4, mlx-lm) or ``rope_parameters`` (transformers 5).

    A loader that knows only the spelling that is absent falls back to its own default theta and says nothing.
    MalformedCheckpoint ``config-contradiction`` where the two disagree, ``bad-config-value``.
    """
    new = config.get("rope_parameters")
    if not (isinstance(new, Mapping) and new):
        _split_theta(config)
        if "rope_theta" in config and not _differs_by_layer(config):
            _to_parameters(config)
        return
    nested = {key: value for key, value in new.items() if isinstance(value, Mapping) and key != "rope_theta"}
    if nested:
        # Flat keys beside entries of layer types are not read by transformers, which writes its class's default there,
        # and of which others keep a copy above.
        if config.get("rope_theta") == new.get("rope_theta"):
            config.pop("rope_theta", None)
        new = nested
    elif isinstance(new.get("rope_theta"), Mapping):
        raise MalformedCheckpoint(
            "bad-config-value",
            f"is {new['rope_theta']!r}, and no type of layers says which of these it has; expected a number",
            where="config.json: rope_parameters.rope_theta",
        )
    _split_theta(config)
    new = config["rope_parameters"] = dict(new)
    rope = new.get(_FULL, {}) if nested else new
    _fill(config, "rope_theta", rope.get("rope_theta"))
    _fill(config, "partial_rotary_factor", rope.get("partial_rotary_factor"))
    if nested:
        _fill(config, "rope_local_base_freq", new.get(_SLIDING, {}).get("rope_theta"))
    kind = rope.get("rope_type", "default")
    if kind not in _NEVER_OLD and not config.get("rope_scaling"):
        scaling = {key: value for key, value in rope.items() if key != "rope_theta"}
        config["rope_scaling"] = scaling | {"rope_type": kind, "type": kind}


def _split_theta(config: dict[str, Any]) -> None:
    """One theta for layers that see everything and one for those that do not, as Gemma 3's class in transformers 5 has
    them, into two keys."""
    theta = config.get("rope_theta")
    if isinstance(theta, Mapping):
        del config["rope_theta"]
        _fill(config, "rope_theta", theta["global"])
        _fill(config, "rope_local_base_freq", theta["local"])


def _to_parameters(config: dict[str, Any]) -> None:
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
