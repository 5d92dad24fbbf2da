"""A model of mlx-lm's own class around weights that are in memory, built as ``mlx_lm.utils.load_model`` builds it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import mlx.core as mx
from mlx.nn.layers.quantized import QuantizedLinear, quantize
from mlx.utils import tree_unflatten
from tqdm.auto import tqdm

from ..checkpoint.sources import permuted_in
from ..conversion.job import Job
from ..files.folder import Files
from ..weights.native import PERMUTATION, PERMUTED
from .permuted import StandingPermutedLinear
from .tokenizer import ends_of

_COMMON = ("group_size", "bits", "mode")

# What of a caller's model_config mlx-lm reads itself, as it loads a folder, before a model's class sees it.
_READ_BY_MLX_LM = ("quantize_activations", "quantization", "quantization_config", "model_file", "text_config")


def is_plain(model_config: Mapping[str, Any] | None) -> bool:
    """Whether a caller's ``model_config`` is about the model alone, and not about how mlx-lm loads it."""
    return not any((model_config or {}).get(key) for key in _READ_BY_MLX_LM)


def decoded(job: Job, model_config: Mapping[str, Any] | None, *, progress: bool) -> tuple[Any, dict[str, Any]]:
    """The model that mlx-lm would load from the converted folder, and its config as mlx-lm would have it.

    Modules are decoded one after the other, and nothing is written: memory holds the model so far and one module.

    Raises as :meth:`Job.all_tensors`; ConversionError ``source-changed``; and ValueError, as mlx-lm does, where
    ``model_config`` makes another model than the weights are for.
    """
    weights: dict[str, mx.array] = {}
    total = job.plan.nbytes
    with tqdm(total=total, unit="B", unit_scale=True, disable=not progress, desc="Loading") as bar:
        for step, tensors in job.all_tensors():
            weights |= tensors
            mx.clear_cache()
            bar.update(step.nbytes)
    job.source.require_unchanged()
    config = as_mlx_lm_reads_it(job.config, job.source.files) | dict(model_config or {})
    return assembled(config, weights), config


def as_mlx_lm_reads_it(config: Mapping[str, Any], files: Files) -> dict[str, Any]:
    """A ``config.json`` as ``mlx_lm.utils.load_config`` gives it."""
    from mlx_lm import utils

    read = utils._decode_tagged_floats(copy.deepcopy(dict(config)))
    ends = ends_of(files)
    return {**read, "eos_token_id": ends} if ends else read


def assembled(config: dict[str, Any], weights: dict[str, mx.array]) -> Any:
    """The model of ``config`` with ``weights``, which have the names of its ``config.json``; ValueError if they do not
    fit. ``weights`` are handed over: whatever the model makes of them, nothing else holds them.
    """
    from mlx_lm import utils

    model_class, args_class = utils._get_classes(config=config)
    model = model_class(args_class.from_dict(config))
    if hasattr(model, "sanitize"):
        weights = model.sanitize(weights)
    quantization = config.get("quantization")
    if quantization is not None:
        _make_room(model, quantization, weights)
    model.eval()
    model.load_weights(list(weights.items()), strict=True)
    return model


def _make_room(model: Any, quantization: Mapping[str, Any], weights: Mapping[str, mx.array]) -> None:
    """Quantise the modules of a model whose weights are packed; ``quantization`` as in ``config.json``."""
    common = {"mode": "affine"} | {key: quantization[key] for key in _COMMON if key in quantization}

    def parameters(name: str, module: Any) -> Any:
        if name in quantization:
            own = quantization[name]
            return {key: own[key] for key in own if key != PERMUTED} if isinstance(own, Mapping) else own
        return dict(common) if hasattr(module, "to_quantized") and f"{name}.scales" in weights else False

    quantize(model, **common, class_predicate=parameters)
    modules = dict(model.named_modules())
    placed = [(name, _permuted(name, modules.get(name), weights)) for name in permuted_in(quantization)]
    if placed:
        model.update_modules(tree_unflatten(placed))


def _permuted(name: str, module: Any, weights: Mapping[str, mx.array]) -> StandingPermutedLinear:
    permutation = weights.get(f"{name}.{PERMUTATION}")
    if type(module) is not QuantizedLinear or module.mode != "affine" or permutation is None:
        raise ValueError(f"{name} has no permutation, or is no linear layer in MLX's affine form")
    if permutation.shape != (module.scales.shape[-1] * module.group_size,):
        raise ValueError(f"{name} has a permutation of another size than its inputs")
    return StandingPermutedLinear(module, permutation)
