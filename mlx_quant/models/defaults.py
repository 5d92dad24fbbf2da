"""What Hugging Face means by keys that a config.json leaves out, where mlx-lm would take something else for granted."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

# What of an entry is not a key of the config itself; see fixtures/recipes/config_defaults.py, which writes the table.
_ABOUT = ("text_model", "text_ties", "other_names")


@functools.cache
def table() -> Mapping[str, Mapping[str, Any]]:
    """model_type to absent keys and what transformers takes for them."""
    found: dict[str, Any] = json.loads(files(__package__).joinpath("config_defaults.json").read_text(encoding="utf-8"))
    return found["defaults"]


def fill_in(config: dict[str, Any]) -> None:
    """Write into ``config``, and its ``text_config``, what transformers would assume; a key that is null stays null.

    Types that transformers does not have keep mlx-lm's defaults: what their own code means is not known.
    """
    entry = table().get(str(config.get("model_type")), {})
    _fill(config, entry)
    text = config.get("text_config")
    if isinstance(text, dict):
        inner = table().get(str(text.get("model_type", entry.get("text_model"))), {})
        if "tie_word_embeddings" in config or "text_ties" in entry:
            text.setdefault("tie_word_embeddings", config.get("tie_word_embeddings", entry.get("text_ties")))
        _fill(text, inner)


def _fill(config: dict[str, Any], entry: Mapping[str, Any]) -> None:
    for key, other in entry.get("other_names", {}).items():
        if key not in config and other in config:
            config[key] = config[other]
    for key, value in entry.items():
        rope = key in ("rope_theta", "rope_local_base_freq") and _has_theta(config.get("rope_parameters"))
        if key in config or key in _ABOUT or rope:
            continue
        if key == "num_key_value_heads" and isinstance(value, str):
            if value in config:
                config[key] = config[value]
        else:
            config[key] = value


def _has_theta(parameters: object) -> bool:
    """Whether ``rope_parameters`` say what theta is, for all layers or for each type of them."""
    if not isinstance(parameters, Mapping):
        return False
    return "rope_theta" in parameters or any(isinstance(value, Mapping) for value in parameters.values())
