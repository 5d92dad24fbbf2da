"""The shapes of modules whose own tensors do not tell: from the model that the config describes, or from a bias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UnsupportedFormat
from ..files.folder import TensorInfo
from ..models.architecture import Architecture
from ..models.config import config_for
from ..packings.checks import BIAS
from ..packings.registry import unshaped


def shapes_of(config: Mapping[str, Any], tensors: Mapping[str, TensorInfo]) -> dict[str, tuple[int | None, int | None]]:
    """(out, in) by the name of a module, None where it is not known; of modules that need it alone.

    mlx-lm's model comes first; of a module that it has not under this name, a bias says how many outputs there are.
    No model is built unless a module needs it.

    Args:
        config: ``config.json``.
        tensors: all of the checkpoint, by name.

    Raises MalformedCheckpoint and ConversionError as :meth:`Architecture.of`.
    """
    suffixes = unshaped()
    names = [name.removesuffix(end) for name in tensors for end in suffixes if name.endswith(end)]
    if not names:
        return {}
    known = _parameters(config)
    found: dict[str, tuple[int | None, int | None]] = {}
    for name in names:
        shape, bias = known.get(f"{name}.weight", ()), tensors.get(f"{name}.{BIAS}")
        if len(shape) == 2:
            found[name] = shape[0], shape[1]
        elif bias is not None and len(bias.shape) == 1:
            found[name] = bias.shape[0], None
    return found


def _parameters(config: Mapping[str, Any]) -> Mapping[str, tuple[int, ...]]:
    # An output head that is tied to the embeddings is no parameter, and has a shape all the same where it is packed.
    untied = config_for(config) | {"tie_word_embeddings": False}
    try:
        architecture = Architecture.of(untied)
    except UnsupportedFormat:
        # Whoever wants the model is told why; a bias may still do.
        return {}
    return {} if architecture is None else architecture.parameters
