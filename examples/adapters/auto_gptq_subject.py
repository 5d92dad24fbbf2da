"""AutoGPTQ 0.7.1 on a CPU as a conformance subject.

A module goes the way a checkpoint goes in `AutoGPTQForCausalLM.from_quantized`: `BaseQuantizeConfig.from_pretrained`
reads the configuration, `make_quant` puts in the QuantLinear that AutoGPTQ selects (`qlinear_cuda` for act-order with
groups, else `qlinear_cuda_old`; the compiled kernels need a GPU), accelerate's `load_checkpoint_in_model` fills it. The
weight is what `QuantLinear.forward` hands to `torch.matmul`; a product with an identity would turn -0.0 into 0.0.
`load` is `from_quantized` itself. AWQ checkpoints are repacked on CUDA only, so AWQ is not claimed.
"""

from __future__ import annotations

import gc
import json
import logging
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import transformers
from accelerate.utils.modeling import load_checkpoint_in_model
from auto_gptq import AutoGPTQForCausalLM
from auto_gptq.modeling import BaseQuantizeConfig
from auto_gptq.modeling._utils import make_quant
from safetensors.torch import save_file

logging.getLogger("auto_gptq").setLevel(logging.ERROR)
# accelerate collects garbage after each checkpoint: what was imported by now need not be looked through each time.
gc.freeze()

# What AutoGPTQ raises on purpose: of a method, format or architecture that it has not, or a shape that does not fit.
DELIBERATE = ("this looks incorrect", "isn't supported yet", "not supported", "quantize_config", "Unknown")
KERNELS = {"disable_exllama": True, "disable_exllamav2": True, "use_cuda_fp16": False}


class Refused(Exception):
    """AutoGPTQ's own checks said no."""


def operand(layer: torch.nn.Module) -> torch.Tensor:
    """The weight [out, in] that `forward` multiplies by."""
    x = torch.ones(1, layer.infeatures, dtype=layer.scales.dtype)
    product = torch.zeros(1, layer.outfeatures, dtype=layer.scales.dtype)
    with mock.patch.object(torch, "matmul", return_value=product) as matmul:
        layer(x)
    return matmul.call_args.args[1].detach().t().contiguous()


def read_config(folder: str) -> BaseQuantizeConfig:
    try:
        config = BaseQuantizeConfig.from_pretrained(folder)
    except ValueError as error:
        raise Refused(str(error)) from error
    if config.is_marlin_format or config.awq_gemm_checkpoint:
        # from_quantized raises for the first; for the second it repacks, with tensors that it moves to CUDA.
        raise Refused("Marlin and AWQ checkpoints need a GPU")
    return config


def dequantize(quantization_config: dict[str, Any], tensors: dict[str, torch.Tensor], *, dtype: Any = None) -> Any:
    """One module."""
    if dtype not in (None, tensors["scales"].dtype):
        raise Refused("its dtype is the model's, and casts the scales: none can be asked for the weight")
    rows, out_features = tensors["qweight"].shape
    dtype = tensors["scales"].dtype
    with tempfile.TemporaryDirectory() as folder:
        # The name under which AutoGPTQ writes it; in a local folder it does not find the one in config.json.
        Path(folder, "quantize_config.json").write_text(json.dumps(quantization_config))
        save_file({f"proj.{name}": tensor.contiguous() for name, tensor in tensors.items()}, f"{folder}/m.safetensors")
        config = read_config(folder)
        in_features = len(tensors["g_idx"]) if "g_idx" in tensors else rows * 32 // config.bits
        model = torch.nn.ModuleDict({"proj": torch.nn.Linear(in_features, out_features, dtype=dtype)})
        make_quant(model, {"proj"}, config.bits, config.group_size, desc_act=config.desc_act, **KERNELS)
        try:
            load_checkpoint_in_model(model, f"{folder}/m.safetensors", device_map={"": "cpu"}, dtype=dtype)
        except ValueError as error:
            if "this looks incorrect" not in str(error):
                raise
            raise Refused(str(error)) from error
    return operand(model["proj"])


def load(checkpoint_dir: str | Path) -> dict[str, torch.Tensor]:
    """A whole model, in the dtype that its config names; the bias that every QuantLinear has is left out where zero
    and unknown to the architecture."""
    folder = str(checkpoint_dir)
    config = transformers.AutoConfig.from_pretrained(folder)
    options = {"device": "cpu", "torch_dtype": config.torch_dtype, **KERNELS}
    try:
        model = AutoGPTQForCausalLM.from_quantized(folder, **options).model
    except FileNotFoundError as error:
        # "Could not find a model in ...", or no quantize_config.json: files that it asks for by name.
        raise Refused(str(error)) from error
    except (ValueError, TypeError) as error:
        if not any(text in str(error) for text in DELIBERATE):
            raise
        raise Refused(str(error)) from error
    with torch.device("meta"):
        names = transformers.AutoModelForCausalLM.from_config(config).state_dict().keys()
    stored = model.state_dict()
    weights = {f"{n}.weight": operand(m) for n, m in model.named_modules() if hasattr(m, "QUANT_TYPE")}
    leaves = ("qweight", "qzeros", "scales", "g_idx")
    packed = {name.removesuffix("weight") + leaf for name in weights for leaf in leaves}
    for name, value in stored.items():
        if name in names or (name not in packed and bool(value.any())):
            weights.setdefault(name, value)
    return weights


class _Subject:
    name = "auto-gptq"
    framework = "torch"
    refusals = (Refused,)

    def info(self) -> dict[str, Any]:
        # BaseQuantizeConfig takes 2, 3, 4 and 8 bits, and does not look at checkpoint_format. qlinear_cuda_old, which
        # sequential files get, reshapes into whole groups, and buffers have out // 32 * bits columns. torch_dtype is
        # the model's dtype: it casts the stored scales and is no request for another one.
        excludes = ["gptq_v2", "ragged", "odd-width", "out-dtype"]
        return {"version": version("auto-gptq"), "formats": ["gptq"], "excludes": excludes, "backend": "cpu, PyTorch"}

    dequantize = staticmethod(dequantize)
    load = staticmethod(load)


SUBJECT = _Subject()
