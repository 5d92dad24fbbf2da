"""What mlx-lm makes of tensors as it loads them: a packed module that it would not leave alone is not packed."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.models
import mlx_lm.utils
import numpy as np
import pytest

from mlx_quant import convert
from tests.conversion import tiny_models


@pytest.mark.filterwarnings("ignore::mlx_quant.QuantWarning")
@pytest.mark.parametrize("name", tiny_models.MLA)
@pytest.mark.parametrize("target", ["affine", "auto", "dense"])
def test_absorbed_attention_is_not_quantised_again(name: str, target: Any, tmp_path: Path) -> None:
    config = {"model_type": name, **tiny_models.MLA[name]}
    dense = tiny_models.write(tmp_path / "source", config)
    expected = tiny_models.logits(config, dense)
    report = convert(tmp_path / "source", tmp_path / "out", target=target, params_dtype="float32", progress=False)
    model, _ = mlx_lm.utils.load_model(tmp_path / "out")
    assert np.abs(tiny_models.ran(model) - expected).max() < 1e-4 * np.abs(expected).max()
    if target == "dense":
        return
    assert report.affine
    absorbed = {module: why for module, why in report.not_affine.items() if "kv_b_proj" in module}
    assert absorbed
    assert all("mlx-lm cuts it apart" in why for why in absorbed.values())


def test_every_model_that_quantises_as_it_maps_is_tried() -> None:
    """By the source of mlx-lm: a model of a later release that does so is not known to be safe until it is here."""
    found = set()
    for module in pkgutil.iter_modules(mlx_lm.models.__path__):
        try:
            model = getattr(importlib.import_module(f"mlx_lm.models.{module.name}"), "Model", None)
        except (ImportError, SystemExit):  # one wants a package of its own, and exits without it
            continue
        mapping = [kind for kind in getattr(model, "__mro__", ()) if "sanitize" in vars(kind)]
        sources = [inspect.getsource(sys.modules[kind.__module__]) for kind in mapping]
        if any("mx.dequantize(" in source and "mx.quantize(" in source for source in sources):
            found.add(module.name)
    # This one calls another's by its name.
    assert found | {"longcat_flash_ngram"} == set(tiny_models.MLA)


def test_an_output_head_that_is_tied_by_its_absence(tmp_path: Path) -> None:
    """gemma3_text drops its head as it maps tensors, and so maps them once only."""
    config = {
        "model_type": "gemma3_text",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "intermediate_size": 96,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "vocab_size": 64,
        "sliding_window": 4,
        "sliding_window_pattern": 2,
    }
    dense = tiny_models.write(tmp_path / "source", config, without=("lm_head.weight",))
    expected = tiny_models.logits(config, dense)
    for target in ("dense", "affine"):
        out = tmp_path / target
        convert(tmp_path / "source", out, target=target, params_dtype="float32", progress=False)
        model, _ = mlx_lm.utils.load_model(out)
        assert np.abs(tiny_models.ran(model) - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.filterwarnings("ignore::mlx_quant.QuantWarning")
@pytest.mark.parametrize("target", ["affine", "dense"])
def test_matrices_that_the_architecture_stores_transposed(target: Any, tmp_path: Path) -> None:
    """GPT-2's square c_proj fits either way round; a packed module is [out, in] whatever the original was."""
    config = {
        "model_type": "gpt2",
        "n_ctx": 64,
        "n_embd": 64,
        "n_head": 2,
        "n_layer": 2,
        "n_positions": 64,
        "layer_norm_epsilon": 1e-5,
        "vocab_size": 64,
    }
    dense = tiny_models.write(tmp_path / "source", config, r".*\.c_(attn|proj|fc)")
    model = tiny_models.built(config)
    model.load_weights([(f"model.{name}", mx.array(tensor.numpy())) for name, tensor in dense.items()])
    expected = tiny_models.ran(model)
    report = convert(tmp_path / "source", tmp_path / "out", target=target, progress=False)
    assert len(report.dense) == 8
    loaded, _ = mlx_lm.utils.load_model(tmp_path / "out")
    assert np.abs(tiny_models.ran(loaded) - expected).max() < 1e-4 * np.abs(expected).max()
    if target == "affine":
        assert all("transposes" in why for why in report.not_affine.values())
