"""Transformers as a reader of quantised checkpoints on a CPU, as a conformance subject.

Everything goes through `from_pretrained`: `load` is given the folder, and a single module is written down as a
checkpoint of a model of one layer, in the dtype that is asked for. What comes out is the dense weight of the layer
where transformers makes one while it loads (`fp8`, `mxfp4`, `metal`, compressed-tensors with `dequantize=True`), or
after `model.dequantize()` (bitsandbytes), or the tensor's own `dequantize` (torchao). Gemma's layers have
`_dequantize_weights` and `weight`. BitNet's have no weight: it is their product with an identity, in a model of
float64, which the largest input of a token, 1, leaves as it is.

Not claimed, because its quantiser does not read it here: GPTQ and AWQ, which want GPTQModel, a row of its own; FBGEMM's
FP8, AQLM, VPTQ, SINQ, Quark and HQQ, which want packages of theirs; quanto, whose quantiser has no operation that reads
what was saved; NVFP4 but for compressed-tensors' ("Loading pre-quantized NVFP4 checkpoints is not supported yet.").
ModelOpt's `quant_method` is none that it knows.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from typing import Any

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # BitNet's functions would be compiled for every shape

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers.integrations.bitnet import AutoBitLinear, BitLinear
from transformers.integrations.gemma_quant import QuantizedEmbedding, QuantizedLinear
from transformers_layer import HALF, OneLayer, OneLayerConfig, dtype_of, dtypes_due, shape_of

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


class Refused(Exception):
    """Transformers raised it on purpose."""


def opened(model_class: Any, folder: str | Path, dtype: torch.dtype | str, settings: dict[str, Any]) -> Any:
    """The model, dequantised as far as transformers does that itself."""
    method = str(settings.get("quant_method")).lower()
    options = {}
    try:
        if method == "compressed-tensors":
            options["quantization_config"] = transformers.CompressedTensorsConfig(dequantize=True)
        model, told = model_class.from_pretrained(
            folder, dtype=dtype, device_map="cpu", output_loading_info=True, **options
        )
        if hasattr(model, "hf_quantizer") and (settings.get("load_in_4bit") or settings.get("load_in_8bit")):
            model = model.dequantize(None if dtype == "auto" else dtype)
    except DELIBERATE as error:
        raise Refused(str(error)) from error
    except (RuntimeError, TypeError) as error:
        if not any(text in str(error) for text in SAID):
            raise
        raise Refused(str(error)) from error
    own = "lm_head." if model_class is OneLayer else ()
    lacking = (name for name in told["missing_keys"] if not name.startswith(own) and not name.endswith(OPTIONAL))
    if missing := sorted(lacking):
        raise Refused(f"says that the files lack {', '.join(missing)}")
    return model


OPTIONAL = "_activation_scale"  # of Gemma's layers: zeros stand for none
# A check of transformers, or of a package that reads for it. OSError is of files that are not there.
DELIBERATE = (ValueError, NotImplementedError, ImportError, OSError, AssertionError, SafetensorError)
# So are these: what its reading operations raise is told in a report, and an error is raised after it, as of a wrong
# shape; bitsandbytes' switches are checked, and a pickle that is none is refused by torch.load.
SAID = (
    *("issues during automatic conversion", "ignore_mismatched_sizes"),
    *("must be a boolean", "Invalid magic number"),
)


def weight_of(layer: torch.nn.Module, dtype: torch.dtype | None) -> torch.Tensor:
    if isinstance(layer, QuantizedLinear):
        return layer._dequantize_weights(dtype)
    if isinstance(layer, BitLinear | AutoBitLinear):
        return product(layer.double())
    weight = layer.weight.detach()
    if not hasattr(weight, "tensor_data_names"):
        return weight
    # Tensors of torchao have a dtype of their own, whatever that of the model is; most may be asked for another one.
    other = dtype not in (None, weight.dtype) and "output_dtype" in signature(weight.dequantize).parameters
    try:
        return weight.dequantize(dtype) if other else weight.dequantize()
    except DELIBERATE as error:
        raise Refused(str(error)) from error


def product(layer: torch.nn.Module) -> torch.Tensor:
    """The weight [out, in] of a layer that has none: what it makes of an identity, a thousand inputs at a time."""
    bias, layer.bias = layer.bias, None
    columns = []
    with torch.no_grad():
        for start in range(0, layer.in_features, 1024):
            ones = torch.zeros(min(1024, layer.in_features - start), layer.in_features, dtype=torch.float64)
            ones.diagonal(start).fill_(1)
            columns.append(layer(ones).T)
    layer.bias = bias
    return torch.cat(columns, dim=1)


def rounded(exact: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """From float64 in one step: torch takes two, by way of float32. One with an odd last bit is near no middle."""
    if exact.dtype != torch.float64 or dtype not in HALF:
        return exact.to(dtype)
    near = exact.to(torch.float32)
    missed = (near.double() != exact) & near.isfinite()
    towards_zero = near.view(torch.int32) - (missed & (near.double().abs() > exact.abs())).int()
    return torch.where(missed, towards_zero | 1, near.view(torch.int32)).view(torch.float32).to(dtype)


def dequantize(quantization_config: dict[str, Any], tensors: dict[str, torch.Tensor], *, dtype: Any = None) -> Any:
    config = dict(quantization_config)
    said = config.pop("metadata", None)
    wanted = dtype or dtype_of(quantization_config, tensors)
    kind = "experts" if "_blocks" in tensors else "embedding" if "embedding_quantized" in tensors else "linear"
    shape = shape_of(quantization_config, tensors)
    # compressed-tensors writes experts one by one.
    count = shape[0] if kind == "linear" and "weight_packed" in tensors and len(shape) == 3 else 0
    if any(len(tensor) != count for tensor in tensors.values() if tensor.ndim == 3):
        count = 0
    architecture = OneLayerConfig(
        shape=shape if kind == "experts" else shape[-2:],
        kind=kind,
        count=max(1, count),
        has_bias="bias" in tensors,
        quantization_config=config,
        architectures=["OneLayer"],
    )
    prefix = "layers.0.proj.gate_up_proj" if kind == "experts" else "layers.0.proj."
    if kind == "experts":  # whose biases have another name, and are no part of it
        tensors = {name: tensor for name, tensor in tensors.items() if name != "bias"}
    metadata = {f"layers.0.proj.{name}": text for name, text in (said or {}).items()} if isinstance(said, dict) else {}
    if said:
        metadata["tensor_names"] = json.dumps(list(metadata))
    bitnet = str(config.get("quant_method")).lower() == "bitnet"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(architecture.to_dict(), default=str))
        stored = {prefix + name: tensor.contiguous() for name, tensor in tensors.items()}
        if kind == "experts" and len(shape) == 2:  # there are stacks only: one of one
            stored = {name: tensor[None] for name, tensor in stored.items()}
        if count:
            stored = {
                f"layers.{i}.proj.{name}": (
                    tensor[i] if tensor.ndim == 3 or len(tensor) == count > 1 else tensor
                ).clone()
                for name, tensor in tensors.items()
                for i in range(count)
            }
        save_file(stored, Path(folder, "model.safetensors"), metadata={"format": "pt"} | metadata)
        model = opened(OneLayer, folder, torch.float64 if bitnet else wanted, config)
    if kind == "experts":
        return model.layers[0]["proj"].gate_up_proj.detach().transpose(1, 2).reshape(shape)
    weights = [weight_of(layer["proj"], wanted) for layer in model.layers]
    if bitnet:
        weights = [rounded(weight, wanted) for weight in weights]
    if dtype not in (None, weights[0].dtype) and str(config.get("quant_method")).lower() in ("metal", "torchao"):
        raise Refused(f"its dtype is that of the file, {weights[0].dtype}: none can be asked for the weight")
    return torch.stack(weights) if count else weights[0].clone()


def load(checkpoint_dir: str | Path) -> dict[str, torch.Tensor]:
    """The weights, each from a model of the dtype that is due for it: a model has one, chosen by who loads it."""
    config = json.loads(Path(checkpoint_dir, "config.json").read_text())
    settings = config.get("quantization_config") or {}
    due = dtypes_due(Path(checkpoint_dir), settings)
    if str(settings.get("quant_method")).lower() == "bitnet":
        found = weights_in(checkpoint_dir, torch.float64, settings, due)
        return {name: rounded(value, due.get(name, torch.bfloat16)) for name, value in found.items()}
    counted = Counter(dtype for name, dtype in due.items() if name.endswith(".weight")).most_common(1)
    first = counted[0][0] if counted else "auto"
    weights = weights_in(checkpoint_dir, first, settings, due)
    for dtype in sorted({due[name] for name in weights if name in due} - {first}, key=str):
        found = weights_in(checkpoint_dir, dtype, settings, due)
        weights |= {name: value for name, value in found.items() if due.get(name) == dtype}
    return weights


def weights_in(
    folder: str | Path, dtype: torch.dtype | str, settings: dict[str, Any], due: dict[str, torch.dtype]
) -> dict[str, torch.Tensor]:
    """All weights of the model, in one dtype but for those that have their own."""
    model = opened(transformers.AutoModelForCausalLM, str(folder), dtype, settings)
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, QuantizedLinear | QuantizedEmbedding | BitLinear | AutoBitLinear)
    }
    weights = {f"{name}.weight": weight_of(layer, due.get(f"{name}.weight")) for name, layer in layers.items()}
    for name, value in model.state_dict().items():
        owner, _, leaf = name.rpartition(".")
        if owner in layers and leaf != "bias":
            continue
        if leaf in ("gate_up_proj", "down_proj"):  # gpt-oss' stacks, [experts, in, out]
            weights[f"{name}.weight"] = value.transpose(1, 2).contiguous()
        else:
            weights[name] = weight_of(model.get_submodule(owner), None) if has_parts(value) else value
    if getattr(model.config, "tie_word_embeddings", False):  # named a second time where it is the embedding
        weights.pop("lm_head.weight", None)
    return weights


def has_parts(value: torch.Tensor) -> bool:
    return hasattr(value, "tensor_data_names")


class _Subject:
    name = "transformers"
    framework = "torch"
    refusals = (Refused,)

    def info(self) -> dict[str, Any]:
        # "actorder='group' has been removed", says compressed-tensors of maps of groups. Metal's weights come "in the
        # original dtype", and some of torchao's; where another dtype is given, it is judged all the same.
        return {
            "version": version("transformers"),
            "formats": [
                *("bitnet", "bnb_4bit", "bnb_int8", "compressed-tensors", "ct_int", "ct_packed", "deepseek", "fp8"),
                *("fp8_parts", "gemma_quant", "metal", "mxfp4", "nvfp4", "torchao_int8", "torchao_mx"),
            ],
            "excludes": ["act-order", "arbitrary-groups", "fbgemm", "modelopt", "of-quanto", "out-dtype", "sequential"],
            "backend": f"cpu, torch {version('torch')}",
        }

    dequantize = staticmethod(dequantize)
    load = staticmethod(load)


SUBJECT = _Subject()
