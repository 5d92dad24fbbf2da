"""The ``config.json`` of a checkpoint as every loader reads it alike, without its quantisation."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from .defaults import fill_in
from .ropes import both_ropes
from .spelling import nested, respelled


def config_for(config: Mapping[str, Any], *, dtype: str | None = None) -> dict[str, Any]:
    """``config.json`` of the converted checkpoint: no quantisation, both spellings of dtype and of RoPE, absent keys
    as Hugging Face means them, and those that mlx-lm alone reads.

    Args:
        config: the packed checkpoint's.
        dtype: ``"float16"``, ...; None keeps what the config says.

    Raises MalformedCheckpoint ``config-contradiction`` where two spellings disagree, and as :func:`both_ropes` and
    :func:`respelled`.
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
        both_ropes(part)
        stated = dtype or part.get("dtype") or part.get("torch_dtype")
        if stated and (part is result or "dtype" in part or "torch_dtype" in part):
            # transformers 5 writes `dtype`, everything older reads `torch_dtype`.
            part["torch_dtype"] = part["dtype"] = str(stated).removeprefix("torch.")
        respelled(part)
    nested(result)
    return result
