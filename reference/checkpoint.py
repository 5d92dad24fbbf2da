"""Whole checkpoints: which files belong to it, what they say of each module, and what becomes of every tensor."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from . import activation
from .config import Config, values, written
from .dialects import settings_of
from .formats import FORMATS, quanto_int4, torchao_int8
from .unpacked import Refused

Given = Mapping[str, torch.Tensor]
Decode = Callable[[Config, Given], torch.Tensor]
Tensors = dict[str, torch.Tensor]

LEAVES = tuple(sorted({leaf for format in FORMATS.values() for leaf in format.LEAVES}))
MARKS = {mark for format in FORMATS.values() for mark in getattr(format, "MARKS", format.LEAVES[:1])}
# Of modules that are packed whatever dtype their weight has.
PACKED = tuple(leaf for format in FORMATS.values() for leaf in getattr(format, "PACKED", ()))
SIDECARS = ("quantize_config.json", "quant_config.json")
# What a model computes by itself, and a producer saved all the same.
BUFFERS = (".rotary_emb.inv_freq", ".rotary_emb.original_inv_freq")
# A file that describes each module by its name.
DESCRIBED = "model.safetensors.index.json.meta.json"
# A sidecar that keeps its settings one level down, and the method that it stands for.
NESTED = {"hf_quant_config.json": "modelopt"}
# Settings about which the files of a checkpoint must not disagree.
AGREED = ("bits", "group_size", "quant_method", "sym", "desc_act", "quant_algo")


def load(checkpoint_dir: str | Path, decode: Decode) -> Tensors:
    """Every weight by its Hugging Face name, packed modules decoded to ``<module>.weight``.

    Which modules are packed is what the tensors say, never a list in the configuration. A bias of a packed module is
    left out when it is all zero and the architecture has no such parameter: AutoGPTQ stores one for every layer.
    """
    folder = Path(checkpoint_dir)
    config = read(folder / "config.json")
    quantization = settings(folder, config)
    stored = tensors(folder)
    marked = packed(stored)
    modules = [module for module in marked if not left_dense(module, stored.get(f"{module}.weight"), stored)]
    if not modules:
        raise Refused("the configuration names a packing, but no tensor is packed")
    inside = {full for module in modules for full in local_names(module, stored).values()}
    dense = [module for module in marked if module not in modules]
    leftovers = {full for module in dense for leaf, full in local_names(module, stored).items() if leaf != "weight"}
    biases = {f"{module}.bias": module for module in modules}
    weights = {}
    for name, tensor in stored.items():
        if name.endswith(BUFFERS):
            continue
        if name in biases and not expects_bias(config, biases[name]):
            if bool(tensor.any()):
                raise Refused(f"{name} is not zero, and the architecture has no such parameter")
        elif name.endswith(f".{activation.LEAF}") and name not in inside:
            raise Refused(f"{name} divides an activation, which the architecture does not")
        elif name not in inside | leftovers:
            if tensor.dtype in (torch.float8_e4m3fn, torch.float8_e8m0fnu, torch.uint32):
                raise Refused(f"{name} is {tensor.dtype}, without what it takes to read it")
            weights[name] = tensor
    for module in modules:
        if module == "lm_head" and config.get("tie_word_embeddings"):
            continue
        local = {leaf: stored[full] for leaf, full in local_names(module, stored).items()}
        weights[f"{module}.weight"] = decode(settings_of_layer(module, quantization, config), local)
    return weights


class Opened(Mapping[str, torch.Tensor]):
    """The packed modules of a checkpoint as ``<module>.weight``, each decoded when it is asked for."""

    def __init__(self, checkpoint_dir: str | Path, decode: Decode) -> None:
        folder = Path(checkpoint_dir)
        self._decode, self._folder, self._placed = decode, folder, places(folder)
        self._config = read(folder / "config.json")
        self._quantization = settings(folder, self._config)
        self._modules = [module for module in packed(self._placed) if not self._left_dense(module)]

    def __getitem__(self, name: str) -> torch.Tensor:
        module = name.removesuffix(".weight")
        if module not in self._modules or module == name:
            raise KeyError(name)
        local = {}
        for leaf, full in local_names(module, self._placed).items():
            with safe_open(self._folder / self._placed[full], framework="pt") as opened:
                local[leaf] = opened.get_tensor(full)
        return self._decode(settings_of_layer(module, self._quantization, self._config), local)

    def _left_dense(self, module: str) -> bool:
        if (name := f"{module}.weight") not in self._placed:
            return False
        with safe_open(self._folder / self._placed[name], framework="pt") as opened:
            return left_dense(module, opened.get_tensor(name), self._placed)

    def __iter__(self) -> Iterator[str]:
        return (f"{module}.weight" for module in self._modules)

    def __len__(self) -> int:
        return len(self._modules)


def settings_of_layer(module: str, quantization: Config, config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of one module, with what its layer has where tensors do not tell it."""
    found = settings_of(module, quantization)
    if not quanto_int4.names(found):
        return found
    return found | quanto_int4.features(config, module)


def left_dense(module: str, weight: torch.Tensor | None, names: Container[str]) -> bool:
    """Whether a producer left a weight as it was, and only made room for scales beside it."""
    floats = weight is not None and weight.dtype in (torch.float16, torch.bfloat16, torch.float32)
    return floats and not any(joined(module, leaf) in names for leaf in PACKED)


def packed(names: Iterable[str]) -> list[str]:
    """The packed modules among the names of tensors."""
    ends, names = [joined("", mark) for mark in MARKS], set(names)
    found = {(name.removesuffix(end), end) for name in names for end in ends if name.endswith(end)}
    # Parameters of many models are called scale.
    return sorted({module for module, end in found if end != ".scale" or f"{module}.weight" in names})


def joined(module: str, leaf: str) -> str:
    """The name of a tensor in a checkpoint; those of stacks of experts follow the module's without a dot."""
    return f"{module}{leaf}" if leaf in ("_blocks", "_scales") else f"{module}.{leaf}"


def local_names(module: str, names: Container[str]) -> dict[str, str]:
    """Local to full name of a packed module's tensors, but for the bias."""
    found = {leaf: joined(module, leaf) for leaf in LEAVES if joined(module, leaf) in names}
    divisors = activation.beside(module)
    return found | {activation.LEAF: divisors} if divisors and divisors in names else found


def read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise Refused(f"{file.name} is missing")
    return json.loads(file.read_text())


def settings(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """The quantisation config from wherever it is written; two that disagree are refused."""
    found = [config.get("quantization_config"), (config.get("text_config") or {}).get("quantization_config")]
    found += [read(folder / name) for name in SIDECARS if (folder / name).is_file()]
    for name, method in NESTED.items():
        if (folder / name).is_file():
            found.append(_added({"quant_method": method} | read(folder / name)["quantization"], found))
    if (folder / "quanto_qmap.json").is_file():
        found.append({"quant_method": "quanto", "quantization_map": read(folder / "quanto_qmap.json")})
    if (folder / DESCRIBED).is_file():
        found.append({"modules": read(folder / DESCRIBED)})
    older = config.get("compression_config") or {}
    found.insert(0, older.get("quantization_config", older))
    sources = [written(source) for source in found if source]
    if not sources:
        raise Refused("no quantisation config")
    for name in AGREED:
        if len(different := values(sources, name)) > 1:
            raise Refused(f"the files disagree about {name}: {different}")
    merged = {key: value for source in reversed(sources) for key, value in source.items()}
    if torchao_int8.wrote(merged):
        # What is true of a weight is in the headers of the files, and nowhere else.
        merged["metadata"] = said(folder)
    return merged


def said(folder: Path) -> dict[str, str]:
    """The ``__metadata__`` of all files of weights; two that differ about a tensor are refused."""
    found: dict[str, str] = {}
    for name in sorted(set(places(folder).values())):
        with safe_open(folder / name, framework="pt") as opened:
            for key, text in (opened.metadata() or {}).items():
                if key != "tensor_names" and found.setdefault(key, text) != text:
                    raise Refused(f"two files differ about {key}")
                if key.rpartition(".")[2] != "weight" and torchao_int8.packed(text):
                    raise Refused(f"{key} is packed, and is no weight of a layer")
    return found


def _added(sidecar: dict[str, Any], others: list[Any]) -> dict[str, Any]:
    """A sidecar that names the layers which its program changed in a model of another method: those alone."""
    another = any(other and other.get("quant_method") not in (None, sidecar["quant_method"]) for other in others)
    if another and sidecar.get("quant_algo") == "MIXED_PRECISION" and sidecar.get("quantized_layers"):
        return {key: value for key, value in sidecar.items() if key not in ("quant_method", "quant_algo")}
    return sidecar


def tensors(folder: Path) -> Tensors:
    """Every tensor of the checkpoint."""
    placed = places(folder)
    found: Tensors = {}
    for name in sorted(set(placed.values())):
        with safe_open(folder / name, framework="pt") as opened:
            found |= {key: opened.get_tensor(key) for key in opened.keys()}
    return found


def places(folder: Path) -> dict[str, str]:
    """Tensor to file: of the shards that the index names, which must hold what the index lists; or of one file."""
    present = sorted(file.name for file in folder.glob("*.safetensors"))
    indices = sorted(folder.glob("*.safetensors.index.json"))
    if not indices:
        if "model.safetensors" in present:
            present = ["model.safetensors"]
        if len(present) != 1:
            raise Refused(f"{len(present)} safetensors files and no index")
        return dict.fromkeys(keys(folder / present[0]), present[0])
    placed = read(indices[0])["weight_map"]
    found = set()
    for name in sorted(set(placed.values())):
        if name not in present:
            raise Refused(f"the index names {name}, which is not in the folder")
        for key in keys(folder / name):
            if placed.get(key) != name:
                raise Refused(f"the index does not put {key} in {name}")
            found.add(key)
    if missing := sorted(placed.keys() - found):
        raise Refused(f"{missing[0]} is not where the index puts it")
    return dict(placed)


def keys(file: Path) -> list[str]:
    """Names of the tensors of one file."""
    try:
        with safe_open(file, framework="pt") as opened:
            return list(opened.keys())
    except SafetensorError as error:
        raise Refused(f"{file.name}: {error}") from error


def expects_bias(config: Mapping[str, Any], module: str) -> bool:
    """Whether transformers' model has a bias there; of an architecture not known here every bias is kept."""
    leaf = module.rpartition(".")[2]
    if leaf == "lm_head":
        return False
    if config.get("model_type") == "qwen2":
        return leaf in ("q_proj", "k_proj", "v_proj")
    if config.get("model_type") == "llama":
        attention = leaf in ("q_proj", "k_proj", "v_proj", "o_proj")
        return bool(config.get("attention_bias" if attention else "mlp_bias"))
    return True
