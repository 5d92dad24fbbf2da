"""AutoRound as a reader of GPTQ and AWQ checkpoints on a CPU, as a conformance subject.

Transformers' `AutoRoundConfig.from_dict` takes the configuration, `convert_hf_model` chooses a backend and puts its
layers in, `post_init` lets them repack what they were given. On a CPU it asks for auto-round-lib, whose kernels take
GPTQ and AWQ; what they do not take, `auto_round:torch_zp` takes if it is symmetric GPTQ, and else `auto_round:fake`,
whose layers have a plain weight and no place for what the file holds. The weight is what the layer's `forward`
multiplies by; of the kernels, which repack it, the product with an identity in float32, where a -0.0 comes out as 0.0.
`load` is `from_pretrained` with an `AutoRoundConfig`.
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
from auto_round.inference.convert_model import convert_hf_model, post_init

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
        self.dtype = dtype
        self.layers = torch.nn.ModuleList([torch.nn.ModuleDict({"proj": linear})])


def operand(layer: torch.nn.Module) -> torch.Tensor:
    """The weight [out, in] that `forward` multiplies by."""
    if type(layer).__module__.startswith("auto_round_kernel"):
        product = layer(torch.eye(layer.infeatures, dtype=torch.float32))
        return product.detach().t().contiguous()
    if not hasattr(layer, "qweight"):
        return layer.weight.detach()
    x = torch.ones(1, layer.infeatures, dtype=layer.scales.dtype)
    product = torch.zeros(1, layer.outfeatures, dtype=layer.scales.dtype)
    with mock.patch.object(torch, "matmul", return_value=product) as matmul:
        layer(x)
    return matmul.call_args.args[1].detach().t().contiguous()


def is_awq(config: dict[str, Any]) -> bool:
    """Whether inputs lie along the rows of ``qweight``; where AutoRound packed it, its packing says so."""
    named = (config.get(key) for key in ("quant_method", "packing_format", "backend"))
    return any("awq" in str(name).lower() for name in named)


def dequantize(quantization_config: dict[str, Any], tensors: dict[str, torch.Tensor], *, dtype: Any = None) -> Any:
    rows, out_features = len(tensors["qweight"]), tensors["scales"].shape[1]
    bits = quantization_config.get("bits")
    # What it makes of a width that there is not does not hang on the width of the layer.
    inputs = rows * 32 // (bits if bits in range(2, 9) else 4)
    if "g_idx" in tensors:  # where a word is not full, as the layer of a model would
        inputs = len(tensors["g_idx"])
    in_features = rows if is_awq(quantization_config) else inputs
    if dtype not in (None, tensors["scales"].dtype):
        raise Refused("its dtype is the model's, and casts the scales: none can be asked for the weight")
    dtype = tensors["scales"].dtype
    try:
        config = transformers.AutoRoundConfig.from_dict(dict(quantization_config))
        model, backends = convert_hf_model(Tiny(config, in_features, out_features, "bias" in tensors, dtype), "cpu")
    except (ValueError, NotImplementedError) as error:
        raise Refused(str(error)) from error
    except SystemExit as error:  # where it knows a backend that is not installed, it logs an error and ends the process
        raise Refused("AutoRound ended the process") from error
    layer = model.layers[0]["proj"]
    for name, tensor in tensors.items():
        if name in layer._buffers:  # as from_pretrained: what the layer has no place for is left out
            set_module_tensor_to_device(layer, name, "cpu", tensor, dtype=dtype)
    post_init(model, backends)
    return operand(model.layers[0]["proj"]).to(dtype)


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
                weights.pop(f"{name}.{leaf}", None)
            weights[f"{name}.weight"] = operand(layer).to(model.dtype)
    return _untied(weights, model)


def _untied(weights: dict[str, torch.Tensor], model: Any) -> dict[str, torch.Tensor]:
    """Without the head that state_dict() names a second time where it is the embedding."""
    if getattr(model.config, "tie_word_embeddings", False):
        weights.pop("lm_head.weight", None)
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
            "formats": ["auto-round", "awq", "gptq"],
            "excludes": ["gptq_v2", "act-order", "arbitrary-groups", "ragged", "out-dtype"],
            "backend": f"cpu, auto-round-lib {version('auto-round-lib')}",
        }

    dequantize = staticmethod(dequantize)
    load = staticmethod(load)


SUBJECT = _Subject()
