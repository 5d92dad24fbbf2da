"""AutoRound as a reader of GPTQ and AWQ checkpoints on a CPU, as a conformance subject.

Transformers' `AutoRoundConfig.from_dict` takes the configuration, `convert_hf_model` chooses a backend and puts its
layers in. With nothing but auto-round installed that is `auto_round:torch_zp` for symmetric GPTQ in sequential groups;
for all else it is `auto_round:fake`, whose layers have a plain weight and no place for what the file holds.
The weight is what the layer's `forward` multiplies by. `load` is `from_pretrained` with an `AutoRoundConfig`.
"""

from __future__ import annotations

import json
import logging
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import transformers
from accelerate.utils import set_module_tensor_to_device
from auto_round.inference.convert_model import convert_hf_model

logging.getLogger("autoround").setLevel(logging.ERROR)


class Refused(Exception):
    """AutoRound raised it, or found no backend."""


class Tiny(torch.nn.Module):
    """A model of one linear layer in one block, as AutoRound looks for blocks."""

    def __init__(self, config: Any, in_features: int, out_features: int, bias: bool, dtype: torch.dtype) -> None:
        super().__init__()
        self.config = transformers.PretrainedConfig()
        self.config.quantization_config = config
        linear = torch.nn.Linear(in_features, out_features, bias, dtype=dtype)
        torch.nn.init.zeros_(linear.weight)  # from_pretrained leaves a weight that no file has as it was allocated
        self.layers = torch.nn.ModuleList([torch.nn.ModuleDict({"proj": linear})])


def operand(layer: torch.nn.Module) -> torch.Tensor:
    """The weight [out, in] that `forward` multiplies by."""
    if not hasattr(layer, "qweight"):
        return layer.weight.detach()
    x = torch.ones(1, layer.infeatures, dtype=layer.scales.dtype)
    product = torch.zeros(1, layer.outfeatures, dtype=layer.scales.dtype)
    with mock.patch.object(torch, "matmul", return_value=product) as matmul:
        layer(x)
    return matmul.call_args.args[1].detach().t().contiguous()


def dequantize(quantization_config: dict[str, Any], tensors: dict[str, torch.Tensor], *, dtype: Any = None) -> Any:
    rows, out_features = len(tensors["qweight"]), tensors["scales"].shape[1]
    bits = quantization_config.get("bits")
    # What it makes of a width that it does not have does not hang on the width of the layer.
    inputs = rows * 32 // (bits if bits in (2, 3, 8) else 4)
    in_features = rows if quantization_config["quant_method"] == "awq" else inputs
    if dtype not in (None, tensors["scales"].dtype):
        raise Refused("its dtype is the model's, and casts the scales: none can be asked for the weight")
    dtype = tensors["scales"].dtype
    try:
        config = transformers.AutoRoundConfig.from_dict(dict(quantization_config))
        model, _ = convert_hf_model(Tiny(config, in_features, out_features, "bias" in tensors, dtype), "cpu")
    except (ValueError, NotImplementedError) as error:
        raise Refused(str(error)) from error
    except SystemExit as error:  # where it knows a backend that is not installed, it logs an error and ends the process
        raise Refused("AutoRound ended the process") from error
    layer = model.layers[0]["proj"]
    for name, tensor in tensors.items():
        if name in layer._buffers:  # as from_pretrained: what the layer has no place for is left out
            set_module_tensor_to_device(layer, name, "cpu", tensor, dtype=dtype)
    return operand(layer)


def load(checkpoint_dir: str | Path) -> dict[str, torch.Tensor]:
    settings = json.loads(Path(checkpoint_dir, "config.json").read_text())["quantization_config"]
    config = transformers.AutoRoundConfig(**settings)
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            str(checkpoint_dir), quantization_config=config, device_map="cpu", dtype="auto"
        )
    except (ValueError, NotImplementedError) as error:
        raise Refused(str(error)) from error
    except SystemExit as error:
        raise Refused("AutoRound ended the process") from error
    weights = dict(model.state_dict())
    for name, layer in model.named_modules():
        if hasattr(layer, "qweight"):
            for leaf in ("qweight", "qzeros", "scales"):
                del weights[f"{name}.{leaf}"]
            weights[f"{name}.weight"] = operand(layer)
    return weights


class _Subject:
    name = "auto-round"
    framework = "torch"
    refusals = (Refused,)

    def info(self) -> dict[str, Any]:
        # torch_zp has 2 to 8 bits, and says that it unpacks "zp+-1", which is version 1. What desc_act announces is
        # refused by name. `dtype` is the model's: it casts the stored scales and is no
        # request for the weight in another one.
        return {
            "version": version("auto-round"),
            "formats": ["awq", "gptq"],
            "excludes": ["gptq_v2", "act-order", "arbitrary-groups", "ragged", "out-dtype"],
            "backend": "cpu, no kernels but AutoRound's own",
        }

    dequantize = staticmethod(dequantize)
    load = staticmethod(load)


SUBJECT = _Subject()
