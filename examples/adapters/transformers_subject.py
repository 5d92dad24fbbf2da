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
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from typing import Any

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # BitNet's functions would be compiled for every shape

import torch
import transformers
from safetensors.torch import save_file
from transformers.integrations.bitnet import AutoBitLinear, BitLinear
from transformers.integrations.gemma_quant import QuantizedEmbedding, QuantizedLinear

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

HALF = (torch.float16, torch.bfloat16)


class Refused(Exception):
    """Transformers raised it on purpose."""


class OneLayerConfig(transformers.PretrainedConfig):
    model_type = "one-layer"
    shape: tuple[int, ...] = (1, 1)
    kind: str = "linear"
    has_bias: bool = False


class OneLayer(transformers.PreTrainedModel):
    """A layer, and a head that is never quantised."""

    config_class = OneLayerConfig

    def __init__(self, config: OneLayerConfig) -> None:
        super().__init__(config)
        self.layers = torch.nn.ModuleList([torch.nn.ModuleDict({"proj": made(config)})])
        self.lm_head = torch.nn.Linear(1, 1, bias=False)
        self.post_init()

    def get_output_embeddings(self) -> torch.nn.Module:
        return self.lm_head

    def _init_weights(self, module: torch.nn.Module) -> None:
        """A weight that no file has is zeros, each time."""
        for parameter in module.parameters(recurse=False):
            torch.nn.init.zeros_(parameter)


def made(config: OneLayerConfig) -> torch.nn.Module:
    if config.kind == "experts":
        experts = torch.nn.Module()
        *_, out, inputs = config.shape
        count = config.shape[0] if len(config.shape) == 3 else 1
        experts.gate_up_proj = torch.nn.Parameter(torch.empty(count, inputs, out))
        return experts
    out, inputs = config.shape
    if config.kind == "embedding":
        return torch.nn.Embedding(out, inputs)
    return torch.nn.Linear(inputs, out, config.has_bias)


def shape_of(config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> tuple[int, ...]:
    """What the architecture would say: the shape of the dense weight. Empty where the tensors are of no such layer."""
    method = str(config.get("quant_method")).lower()
    if "_blocks" in tensors:
        *experts, out, groups, size = tensors["_blocks"].shape
        return (*experts, out, groups * size * 2)
    if "weight_shape" in tensors:
        return tuple(tensors["weight_shape"].tolist())
    if (state := quant_state(tensors)) is not None:
        return tuple(state["shape"])
    stored = next((tensors[name] for name in STORED if name in tensors), None)
    if stored is None:
        return ()
    out, columns = stored.shape
    if method == "bitnet":
        return out * 4, columns
    if method == "metal":
        return out, columns * 32 // config.get("bits", 4)
    if method == "gemma":
        return out, columns * 8 // (8 if stored.dtype == torch.int8 else config.get("num_bits", 8))
    if "weight_packed" in tensors and stored.dtype == torch.int32:
        (group,) = config["config_groups"].values()
        return out, columns * 32 // group["weights"]["num_bits"]
    two_a_byte = (
        "weight_packed" in tensors
        or (method == "fp8" and stored.dtype == torch.int8)
        or (method in ("torchao", "modelopt") and stored.dtype == torch.uint8)
    )
    return out, columns * (1 + two_a_byte)


def quant_state(tensors: dict[str, torch.Tensor]) -> Any:
    """What bitsandbytes wrote of a module of 4 bits, which the architecture would say."""
    packed = next((tensor for name, tensor in tensors.items() if "quant_state" in name), None)
    return None if packed is None else json.loads(bytes(packed.tolist()))


STORED = ("weight_packed", "_weight_qdata", "embedding_quantized", "weight")


def dtype_of(config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> torch.dtype:
    """That of the model, where none is asked for: what the scales have, or bfloat16 beside those of FP8 and FP4."""
    method = str(config.get("quant_method")).lower()
    if method in ("gemma", "bitsandbytes", "none"):
        state = quant_state(tensors)
        return torch.float32 if state is None else getattr(torch, state["dtype"])
    if method == "torchao":
        said = json.loads(config.get("metadata", {}).get("weight", "{}"))["_data"]
        named = said.get("dtype") or said.get("orig_dtype")
        return getattr(torch, named["_data"]) if named else torch.bfloat16
    scales = next((tensors[name] for name in ("weight_scale_inv", "weight_scale", "scales") if name in tensors), None)
    own = HALF if method in ("fp8", "mxfp8", "modelopt") else (*HALF, torch.float32)
    return torch.bfloat16 if scales is None or scales.dtype not in own else scales.dtype


def opened(model_class: Any, folder: str | Path, dtype: torch.dtype | str, settings: dict[str, Any]) -> Any:
    """The model, dequantised as far as transformers does that itself."""
    method = str(settings.get("quant_method")).lower()
    options = {}
    try:
        if method == "compressed-tensors":
            options["quantization_config"] = transformers.CompressedTensorsConfig(dequantize=True)
        model = model_class.from_pretrained(folder, dtype=dtype, device_map="cpu", **options)
        if hasattr(model, "hf_quantizer") and (settings.get("load_in_4bit") or settings.get("load_in_8bit")):
            model = model.dequantize()
    except (ValueError, NotImplementedError, ImportError) as error:
        raise Refused(str(error)) from error
    except OSError as error:  # of files that are not there; a file that is no safetensors has a class of its own
        raise Refused(str(error)) from error
    except RuntimeError as error:
        # What its reading operations raise is told in a report, and this is raised after it; as is a wrong shape.
        if not any(text in str(error) for text in ("issues during automatic conversion", "ignore_mismatched_sizes")):
            raise
        raise Refused(str(error)) from error
    return model


def weight_of(layer: torch.nn.Module, dtype: torch.dtype | None) -> torch.Tensor:
    if isinstance(layer, QuantizedLinear):
        return layer._dequantize_weights(dtype)
    if isinstance(layer, BitLinear | AutoBitLinear):
        with torch.no_grad():
            bias, layer.bias = layer.bias, None
            found = layer(torch.eye(layer.in_features, dtype=torch.float64)).T
            layer.bias = bias
        return found.to(dtype)
    weight = layer.weight.detach()
    if not hasattr(weight, "tensor_data_names"):
        return weight
    # Tensors of torchao have a dtype of their own, whatever that of the model is; most may be asked for another one.
    other = dtype not in (None, weight.dtype) and "output_dtype" in signature(weight.dequantize).parameters
    return weight.dequantize(dtype) if other else weight.dequantize()


def dequantize(quantization_config: dict[str, Any], tensors: dict[str, torch.Tensor], *, dtype: Any = None) -> Any:
    config = dict(quantization_config)
    said = config.pop("metadata", None)
    wanted = dtype or dtype_of(quantization_config, tensors)
    kind = "experts" if "_blocks" in tensors else "embedding" if "embedding_quantized" in tensors else "linear"
    shape = shape_of(quantization_config, tensors)
    architecture = OneLayerConfig(
        shape=shape or (1, 1),
        kind=kind,
        has_bias="bias" in tensors,
        quantization_config=config,
        architectures=["OneLayer"],
    )
    prefix = "layers.0.proj.gate_up_proj" if kind == "experts" else "layers.0.proj."
    if kind == "experts":  # whose biases have another name, and are no part of it
        tensors = {name: tensor for name, tensor in tensors.items() if name != "bias"}
    metadata = {f"layers.0.proj.{name}": text for name, text in (said or {}).items()}
    if said:
        metadata["tensor_names"] = json.dumps(list(metadata))
    bitnet = str(config.get("quant_method")).lower() == "bitnet"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(architecture.to_dict(), default=str))
        stored = {prefix + name: tensor.contiguous() for name, tensor in tensors.items()}
        if kind == "experts" and len(shape) == 2:  # there are stacks only: one of one
            stored = {name: tensor[None] for name, tensor in stored.items()}
        save_file(stored, Path(folder, "model.safetensors"), metadata={"format": "pt"} | metadata)
        model = opened(OneLayer, folder, torch.float64 if bitnet else wanted, config)
    if not shape:
        raise LookupError("transformers refuses nothing, and has no layer for these tensors")
    layer = model.layers[0]["proj"]
    if kind == "experts":
        return layer.gate_up_proj.detach().transpose(1, 2).reshape(shape)
    return weight_of(layer, wanted).clone()


def load(checkpoint_dir: str | Path) -> dict[str, torch.Tensor]:
    config = json.loads(Path(checkpoint_dir, "config.json").read_text())
    settings = config.get("quantization_config") or config.get("compression_config") or {}
    bitnet = str(settings.get("quant_method")).lower() == "bitnet"
    model = opened(
        transformers.AutoModelForCausalLM, str(checkpoint_dir), torch.float64 if bitnet else "auto", settings
    )
    dtype = model.dtype if not bitnet else dtype_named(config)
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, QuantizedLinear | QuantizedEmbedding | BitLinear | AutoBitLinear)
    }
    weights = {f"{name}.weight": weight_of(layer, dtype) for name, layer in layers.items()}
    for name, value in model.state_dict().items():
        owner, _, leaf = name.rpartition(".")
        if owner in layers and leaf != "bias":
            continue
        if leaf in ("gate_up_proj", "down_proj"):  # gpt-oss' stacks, [experts, in, out]
            weights[f"{name}.weight"] = value.transpose(1, 2).contiguous()
        else:
            weights[name] = value.dequantize() if hasattr(value, "tensor_data_names") else value
    if getattr(model.config, "tie_word_embeddings", False):  # named a second time where it is the embedding
        weights.pop("lm_head.weight", None)
    if bitnet:
        weights = {name: value.to(dtype) for name, value in weights.items()}
    return weights


def dtype_named(config: dict[str, Any]) -> torch.dtype:
    return getattr(torch, config.get("dtype") or config.get("torch_dtype") or "bfloat16")


class _Subject:
    name = "transformers"
    framework = "torch"
    refusals = (Refused,)

    def info(self) -> dict[str, Any]:
        # "actorder='group' has been removed", says compressed-tensors of maps of groups.
        return {
            "version": version("transformers"),
            "formats": [
                *("bitnet", "bnb_4bit", "bnb_int8", "compressed-tensors", "ct_int", "ct_packed", "deepseek", "fp8"),
                *("fp8_parts", "gemma_quant", "metal", "mxfp4", "nvfp4", "torchao_int8", "torchao_mx"),
            ],
            "excludes": ["act-order", "arbitrary-groups", "fbgemm", "modelopt", "of-quanto", "sequential"],
            "backend": f"cpu, torch {version('torch')}",
        }

    dequantize = staticmethod(dequantize)
    load = staticmethod(load)


SUBJECT = _Subject()
