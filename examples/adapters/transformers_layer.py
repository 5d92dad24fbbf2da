"""What is around the modules that transformers reads: a model of one layer, and the shapes and dtypes to ask for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open

HALF = (torch.float16, torch.bfloat16)
FLOATS = (*HALF, torch.float32)


class OneLayerConfig(transformers.PretrainedConfig):
    model_type = "one-layer"
    shape: tuple[int, ...] = (1, 1)
    kind: str = "linear"
    count: int = 1
    has_bias: bool = False


class OneLayer(transformers.PreTrainedModel):
    """A layer, or as many alike as there are experts, and a head that is never quantised."""

    config_class = OneLayerConfig

    def __init__(self, config: OneLayerConfig) -> None:
        super().__init__(config)
        self.layers = torch.nn.ModuleList(torch.nn.ModuleDict({"proj": made(config)}) for _ in range(config.count))
        self.lm_head = torch.nn.Linear(1, 1, bias=False)
        self.post_init()

    def get_output_embeddings(self) -> torch.nn.Module:
        return self.lm_head

    def _init_weights(self, module: torch.nn.Module) -> None:
        """Of the head, which no file has."""
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
    """What the architecture would say: the shape of the dense weight. Where the tensors are of no layer, of any."""
    try:
        return expected(config, tensors)
    except NOT_UNDERSTOOD:
        return ANY


def expected(config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> tuple[int, ...]:
    method = str(config.get("quant_method")).lower()
    if "_blocks" in tensors:
        *experts, out, groups, size = tensors["_blocks"].shape
        return (*experts, out, groups * size * 2)
    if "weight_shape" in tensors:
        return tuple(tensors["weight_shape"].tolist())
    if (state := quant_state(tensors)) is not None:
        return tuple(state["shape"])
    stored = next((tensors[name] for name in STORED if name in tensors), torch.empty(ANY))
    *experts, out, columns = stored.shape
    if method == "bitnet":
        return out * 4, columns
    if method == "metal":
        return out, columns * 32 // config.get("bits", 4)
    if method == "gemma":
        return out, columns * 8 // (8 if stored.dtype == torch.int8 else config.get("num_bits", 4))
    if "weight_packed" in tensors and stored.dtype == torch.int32:
        (group,) = config["config_groups"].values()
        return out, columns * 32 // group["weights"]["num_bits"]
    two_a_byte = (
        "weight_packed" in tensors
        or (method == "fp8" and stored.dtype == torch.int8)
        or (method in ("torchao", "modelopt") and stored.dtype == torch.uint8)
    )
    return (*experts, out, columns * (1 + two_a_byte))


def quant_state(tensors: dict[str, torch.Tensor]) -> Any:
    """What bitsandbytes wrote of a module of 4 bits, which the architecture would say."""
    packed = next((tensor for name, tensor in tensors.items() if "quant_state" in name), None)
    return None if packed is None else json.loads(bytes(packed.tolist()))


# What has the codes, by the first name that is there.
STORED = ("weight_packed", "_weight_qdata", "embedding_quantized", "weight")
ANY = (1, 1)
# What is wrong with a module is for transformers to say.
NOT_UNDERSTOOD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def dtype_of(config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> torch.dtype:
    """That of the model, where none is asked for: what the scales have, or bfloat16 beside those of FP8 and FP4."""
    method = str(config.get("quant_method")).lower()
    try:
        state = quant_state(tensors)
        if method in ("gemma", "bitsandbytes") or state is not None or "SCB" in tensors:
            return torch.float32 if state is None else getattr(torch, state["dtype"])
        if method == "torchao":
            said = json.loads(config.get("metadata", {}).get("weight", "{}"))["_data"]
            named = said.get("dtype") or said.get("orig_dtype")
            return getattr(torch, named["_data"]) if named else torch.bfloat16
    except NOT_UNDERSTOOD:
        return torch.bfloat16
    scales = next((tensors[name] for name in SCALES if name in tensors), None)
    own = HALF if method in ("fp8", "mxfp8", "modelopt", "none") else FLOATS
    return torch.bfloat16 if scales is None or scales.dtype not in own else scales.dtype


SCALES = ("weight_scale_inv", "weight_scale", "scales", "s_channel")


def dtypes_due(folder: Path, settings: dict[str, Any]) -> dict[str, torch.dtype]:
    """Name of a weight to the dtype to ask for: its own where it is dense, and else as of a single module."""
    modules: dict[str, dict[str, torch.Tensor]] = {}
    try:
        listed = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"].values()
        files = [folder / name for name in set(listed)]
    except (OSError, *NOT_UNDERSTOOD):
        files = sorted(folder.glob("*.safetensors"))
    for file in files:
        try:
            with safe_open(file, "pt") as opened_file:
                for name in opened_file.keys():
                    module, leaf = parted(name)
                    modules.setdefault(module, {})[leaf] = opened_file.get_tensor(name)
        except (OSError, SafetensorError):
            continue
    due = {}
    for module, tensors in modules.items():
        due |= {f"{module}.{name}": tensor.dtype for name, tensor in tensors.items() if tensor.dtype in FLOATS}
        if f"{module}.weight" not in due:
            due[f"{module}.weight"] = dtype_of(settings, tensors)
    return due


def parted(name: str) -> tuple[str, str]:
    """The module's name and the tensor's within it."""
    if name.endswith(("_blocks", "_scales")):  # gpt-oss' names have no dot there
        module, _, leaf = name.rpartition("_")
        return module, "_" + leaf
    if ".weight." in name:  # bitsandbytes' have two
        module, _, leaf = name.partition(".weight.")
        return module, "weight." + leaf
    module, _, leaf = name.rpartition(".")
    return module, leaf
