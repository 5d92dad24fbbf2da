"""mlx-lm as a conformance subject.

Every question goes through ``mlx_lm.utils.load_model``: the module is written as a checkpoint of one linear layer, and
what comes back is the ``nn.QuantizedLinear`` that a user of mlx-lm would compute with. GPTQ is not claimed, though
mlx-lm sends it to the same ``_transform_awq_weights``: the modules are passed on all the same, to see what becomes of
them. ``load`` is ``load_model`` too, which is ``mlx_lm.load`` without the tokenizer: the folders of the suite are about
weights, and most have none.
"""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.utils import load_model

# mlx-lm declines with a bare ValueError, as do the two of MLX's checks that it relies on (strict loading, and the list
# of group sizes). A ValueError of any other text is an accident.
DELIBERATE = (
    "is supported for AutoAWQ/GPTQ models",
    "are not currently supported",
    "unsupported compressed-tensors format",
    "The requested group size",
    "Expected shape",
    "Missing ",
    "Received ",
)


OTHER_SIZES = [f"group-size-{size}" for size in (-1, 16, 256, 512, 1024)]


class Declined(Exception):
    """mlx-lm, or the check of MLX that it relies on, says that it does not read this."""


class NotPacked(Exception):
    """mlx-lm knows no such ``quant_method`` and left the layer as it would be without quantisation."""


def _loading(load: Any, *args: Any, **options: Any) -> Any:
    try:
        return load(*args, **options)
    except ValueError as error:
        if any(text in str(error) for text in DELIBERATE):
            raise Declined(str(error)) from error
        raise
    except FileNotFoundError as error:
        raise Declined(str(error)) from error


def _layer(config: dict[str, Any], tensors: dict[str, mx.array]) -> Any:
    """The layer that mlx-lm makes of a module; its [in, out], which a model would know, come from ``qweight``."""
    rows, columns = tensors["qweight"].shape
    awq = config.get("quant_method", "awq") == "awq"
    in_features, out_features = (rows, columns * 8) if awq else (rows * 8, columns)

    class Arguments:
        @classmethod
        def from_dict(cls, params: dict[str, Any]) -> Arguments:
            return cls()

    class Model(nn.Module):
        def __init__(self, args: Arguments) -> None:
            super().__init__()
            self.layer = nn.Linear(in_features, out_features, bias="bias" in tensors)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "config.json").write_text(json.dumps({"quantization_config": config}))
        stored = {f"layer.{name}": value for name, value in tensors.items()}
        mx.save_safetensors(str(folder / "model.safetensors"), stored)
        model, _ = _loading(load_model, folder, get_model_classes=lambda config: (Model, Arguments))
    if not isinstance(model.layer, nn.QuantizedLinear):
        raise NotPacked(str(config.get("quant_method")))
    return model.layer


class _Subject:
    name = "mlx-lm"
    framework = "mlx"
    refusals = (Declined, NotPacked)

    def info(self) -> dict[str, Any]:
        return {
            "version": version("mlx-lm"),
            "formats": ["awq"],
            # A group of a whole row, or of any other size, is passed on to MLX, which has 32, 64 and 128.
            "excludes": ["awq-else", *OTHER_SIZES],
            "backend": str(mx.default_device()),
            "mlx": version("mlx"),
            "affine": {"formats": ["awq"], "excludes": ["awq-else", *OTHER_SIZES]},
        }

    def to_affine(self, quantization_config: dict[str, Any], tensors: dict[str, mx.array]) -> dict[str, Any]:
        layer = _layer(quantization_config, tensors)
        return {name: getattr(layer, name) for name in ("weight", "scales", "biases", "group_size", "bits")}

    def load(self, checkpoint_dir: str | Path) -> Any:
        return _loading(load_model, Path(checkpoint_dir))[0]


SUBJECT = _Subject()
