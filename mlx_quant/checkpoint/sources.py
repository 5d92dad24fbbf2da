"""What a checkpoint's JSON files say it is: the quantisation config, wherever written, and what is refused on sight."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..dialects.fields import overridden
from ..dialects.registry import (
    SIDECARS,
    beside,
    described,
    goes_by_headers,
    method_of,
    of_onnx,
    schemes_of,
    stated,
    under_old_keys,
    unfolded,
)
from ..dialects.schemes import Scheme, Schemes
from ..errors import MalformedCheckpoint, QuantError, UnsupportedFormat
from ..files.documents import MAX_CONFIG_BYTES, check
from ..files.folder import Files, read_bytes, read_json
from ..weights.native import PERMUTED

_LAYER_KEYS = ("num_hidden_layers", "num_layers", "num_transformer_layers", "n_layer", "n_layers")
_CLAIMS = ("quantization_config", "compression_config", "aqlm")
# Said beside the quantisation and not in it.
_ROTATIONS = ("online-rotate", "online_rotate")
_PARTS = ("vision_config", "visual", "vision_tower", "mm_vision_tower", "audio_config")


@dataclass(frozen=True)
class Detected:
    """What the JSON files say.

    Attributes:
        config: ``config.json``.
        quantization: every source merged; the first wins where another says nothing.
        schemes: of each module by its name.
        sources: where ``quantization`` was found.
    """

    config: dict[str, Any]
    quantization: dict[str, Any]
    schemes: Schemes
    sources: tuple[str, ...]

    @property
    def scheme(self) -> Scheme:
        """The checkpoint's default scheme, before per-module overrides."""
        return self.schemes.default

    def with_headers(self, said: Callable[[], Iterable[Mapping[str, str]]]) -> Detected:
        """The same, with what the headers of the files say where that counts; raises as :func:`detect`."""
        if not goes_by_headers(self.quantization):
            return self
        texts = said()
        try:
            merged = described(self.quantization, texts)
            return replace(self, quantization=merged, schemes=schemes_of(merged))
        except QuantError as error:
            raise error.at("the headers of the files") from None


def detect(files: Files) -> Detected:
    """Read the configuration files and refuse what no dialect reads.

    Raises:
        UnsupportedFormat: ``not-quantized``, ``mlx-native``, ``unsupported-architecture``, ``unsupported-method``,
            ``unsupported-layout``, ``untrusted-code``.
        MalformedCheckpoint: ``missing-file``, ``bad-file``, ``bad-config-value``, ``config-contradiction``.
    """
    config = read_json(files, "config.json")
    if config is None:
        hint = (
            "adapter_config.json is here: load its base model" if "adapter_config.json" in files.names else "expected"
        )
        raise MalformedCheckpoint("missing-file", f"not found in {files.label} ({hint})", where="config.json")
    refuse_code(config)
    refuse_native(config)
    refuse_rotation(config)
    read_json(files, "generation_config.json")
    sources = sources_of(files, config)
    if not sources:
        onnx = [name for name in SIDECARS if of_onnx(read_json(files, name))]
        missing = f"no quantization_config, and none of {', '.join(SIDECARS)}"
        if onnx:
            missing = f"no quantization_config, and {onnx[0]} is of ONNX files, which are not read"
        raise UnsupportedFormat(
            "not-quantized", f"{missing}; load it with mlx_lm, which needs no decoder", where="config.json"
        )
    merged = _merged(sources)
    try:
        schemes = schemes_of(merged)
    except QuantError as error:
        raise error.at("; ".join(sources)) from None
    return Detected(config, merged, schemes, tuple(sources))


def claims_packed(folder: Path) -> bool:
    """Whether a folder says that its weights are quantised, and not by MLX itself. Nothing is raised.

    Read as loosely as mlx-lm reads it, so that whatever it does with a folder that claims nothing stays its own
    affair. A ``config.json`` that is no JSON claims what its text names.
    """
    try:
        if not (folder / "config.json").is_file():
            return False
        with open(folder / "config.json", "rb") as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
        beside = any((folder / name).is_file() for name in SIDECARS)
    except (OSError, ValueError):  # ValueError is a null byte in the name
        return False
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        return beside or any(f'"{key}"'.encode() in text for key in _CLAIMS)
    if not isinstance(config, Mapping) or isinstance(config.get("quantization"), Mapping):
        return False
    parts = [part for part in (config, config.get("text_config")) if isinstance(part, Mapping)]
    return beside or any(part.get(key) for part in parts for key in _CLAIMS)


def claims_permuted(folder: Path) -> bool:
    """Whether a folder is a conversion of ours in which act-order modules are packed. Nothing is raised."""
    try:
        config = json.loads(read_bytes(folder / "config.json", "config.json", MAX_CONFIG_BYTES))
    except (QuantError, ValueError, RecursionError):
        return False
    return isinstance(config, Mapping) and bool(permuted_in(config.get("quantization")))


def permuted_in(quantization: object) -> list[str]:
    """Modules whose inputs are permuted, by the ``"quantization"`` of a ``config.json``."""
    if not isinstance(quantization, Mapping):
        return []
    return [name for name, own in quantization.items() if isinstance(own, Mapping) and own.get(PERMUTED) is True]


def refuse_code(config: Mapping[str, Any]) -> None:
    """UnsupportedFormat ``untrusted-code`` for a model that is a program of its own."""
    if config.get("model_file") is not None:
        raise UnsupportedFormat(
            "untrusted-code",
            f"the model is the program {config['model_file']!r} of the repo, which is never run here; "
            "use a model that mlx-lm has",
            where="config.json: model_file",
        )


def refuse_layers(config: Mapping[str, Any], tensors: int) -> None:
    """MalformedCheckpoint ``config-contradiction`` for more layers than there are tensors to make them of.

    mlx-lm builds every layer that a config claims before it looks at a tensor.
    """
    text = config.get("text_config")
    for part in (config, text if isinstance(text, Mapping) else {}):
        for key in _LAYER_KEYS:
            claimed = part.get(key)
            if isinstance(claimed, int) and claimed > tensors:
                raise MalformedCheckpoint(
                    "config-contradiction",
                    f"claims {claimed} layers, and all the weights are {tensors} tensors; correct one of them",
                    where=f"config.json: {key}",
                )


def refuse_native(config: Mapping[str, Any]) -> None:
    """UnsupportedFormat ``mlx-native`` for weights that MLX itself quantised."""
    if isinstance(config.get("quantization"), Mapping):
        reader = "mlx_quant.load" if permuted_in(config["quantization"]) else "mlx_lm.load"
        raise UnsupportedFormat(
            "mlx-native",
            f"these weights are in MLX's own quantised form; {reader} reads them directly",
            where="config.json: quantization",
        )


def refuse_rotation(config: Mapping[str, Any]) -> None:
    """UnsupportedFormat ``unsupported-layout`` for weights in a basis that only the model's own program undoes."""
    for key in _ROTATIONS:
        if config.get(key):
            raise UnsupportedFormat(
                "unsupported-layout",
                "activations are rotated while the model runs, which mlx-lm's model does not; "
                "use an export without rotations",
                where=f"config.json: {key}",
            )


def wrapper_of(config: Mapping[str, Any]) -> str | None:
    """What says that a model is more than a text decoder: its class, or the key of another part; None if nothing."""
    named = config.get("architectures") or ()
    name = next((str(name) for name in named if str(name).endswith("ForConditionalGeneration")), None)
    return name or next((key for key in _PARTS if config.get(key)), None)


def ties_embeddings(config: Mapping[str, Any]) -> bool:
    """Whether the output head is the embeddings; a model with a ``text_config`` may say so inside."""
    text = config.get("text_config")
    inside = text.get("tie_word_embeddings") if isinstance(text, Mapping) else None
    return bool(config.get("tie_word_embeddings", inside))


def sources_of(files: Files, config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Quantisation configs by the file and key where they were found, in the order in which they win.

    MalformedCheckpoint ``bad-config-value``, ``bad-file``.
    """
    text = config.get("text_config")
    found: dict[str, Any] = {
        "config.json: quantization_config": config.get("quantization_config"),
        "config.json: text_config.quantization_config": (
            text.get("quantization_config") if isinstance(text, Mapping) else None
        ),
    } | {f"config.json: {key}": value for key, value in under_old_keys(config).items()}
    for name, method in SIDECARS.items():
        content = read_json(files, name)
        if of_onnx(content):
            continue
        found[name] = content if content is None or method is None else unfolded(content, method)
    for name, value in found.items():
        if value is not None and not isinstance(value, Mapping):
            raise MalformedCheckpoint("bad-config-value", f"is {value!r}, expected an object", where=name)
    for name, value in found.items():
        check(value or {}, "quantize_config", name)
    return {name: value for name, value in found.items() if value}


def _merged(sources: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One mapping of all sources, which must agree wherever two of them say something."""
    method = next((method for method in map(_implied, sources.values()) if method), "")
    sources = {source: beside(config, method) for source, config in sources.items()}
    merged: dict[str, Any] = {}
    said: dict[str, tuple[Any, str]] = {}
    for source, config in sources.items():
        for field, value in stated(config, method).items():
            before, by = said.setdefault(field, (value, source))
            if before != value:
                raise MalformedCheckpoint(
                    "config-contradiction",
                    f"{by} says {before!r}, {source} says {value!r}; one of them belongs to another model",
                    where=field,
                )
        merged = overridden(config, merged)
    return merged


def _implied(config: Mapping[str, Any]) -> str | None:
    try:
        return method_of(config)
    except UnsupportedFormat:
        return None
