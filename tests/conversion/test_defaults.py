"""Absent keys of config.json: what transformers' own classes take for them, for every architecture in the table."""

from __future__ import annotations

import copy
import dataclasses
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlx_lm.utils
import numpy as np
import pytest
from mlx_lm.utils import _get_classes
from packaging.version import Version
from transformers import CONFIG_MAPPING

from mlx_quant import convert
from mlx_quant.models.config import config_for
from mlx_quant.models.defaults import fill_in, table
from tests.conftest import ROOT
from tests.conversion import tiny_models

WRITTEN = json.loads((ROOT / "mlx_quant" / "models" / "config_defaults.json").read_text())
SPELLINGS = ("rope_theta", "rope_local_base_freq", "dtype", "model_type", "transformers_version")
# Configs inside configs, which compare by identity.
NESTED = ("ffn_config", "attn_config")
# With these absent mlx-lm builds no model, which is a refusal.
NOT_BUILT = {"lfm2", "lfm2_moe", "mamba2", "nemotron_h", "pixtral"}
# Derived by transformers alone; a wrong one gives matrices that do not fit, which is a refusal as well.
SHAPED = {("cohere2", "head_dim"), ("falcon_h1", "mamba_d_head")}
# Said in another way: one letter a layer.
SHAPED |= {("exaone4", "sliding_window_pattern")}
SMALL = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2}


# An older one has fewer architectures, and another mind about some of them.
of_this_release = pytest.mark.skipif(
    Version(version("transformers")) < Version(WRITTEN["versions"]["transformers"]),
    reason="transformers is older than the table",
)


def test_the_table_is_what_the_recipe_writes() -> None:
    if WRITTEN["versions"] != {name: version(name) for name in WRITTEN["versions"]}:
        pytest.skip(f"written with {WRITTEN['versions']}; the tests below hold with any that is not older")
    from fixtures.recipes import config_defaults

    assert json.loads(json.dumps(config_defaults.table())) == WRITTEN["defaults"]


@of_this_release
@pytest.mark.parametrize("name", table())
def test_filling_in_changes_nothing_for_transformers(name: str) -> None:
    for given in ({}, {} if name == "mamba2" else SMALL):
        bare: dict[str, Any] = {"model_type": name, **given}
        filled = copy.deepcopy(bare)
        fill_in(filled)
        assert plain(CONFIG_MAPPING[name].from_dict(filled)) == plain(CONFIG_MAPPING[name].from_dict(bare))


def plain(config: Any) -> dict[str, Any]:
    """What a config means, without the spelling of its RoPE, which has two."""
    return {key: value for key, value in config.to_dict().items() if key not in SPELLINGS + NESTED}


@of_this_release
@pytest.mark.parametrize("name", [name for name, keys in table().items() if "text_model" not in keys])
def test_mlx_lm_then_takes_what_transformers_takes(name: str) -> None:
    try:
        _, arguments = _get_classes({"model_type": name})
    except ValueError:
        pytest.skip("mlx-lm reads this as the text_config of others only")
    if name in NOT_BUILT:
        with pytest.raises((TypeError, ValueError)):
            arguments.from_dict(config_for({"model_type": name}))
        return
    for given in ({}, SMALL):
        meant = CONFIG_MAPPING[name].from_dict({"model_type": name, **given}).to_dict()
        # What mlx-lm demands is never taken for granted; an absent one is refused.
        demanded = {field.name: meant.get(field.name) for field in dataclasses.fields(arguments) if demands(field)}
        taken = arguments.from_dict(config_for({"model_type": name, **demanded, **given}))
        known = {*SPELLINGS, *(key for kind, key in SHAPED if kind == name)}
        for field in dataclasses.fields(arguments):
            due, got = meant.get(field.name), getattr(taken, field.name)
            # None: mlx-lm derives it as well, when it builds the model.
            if isinstance(due, bool | int | float | str) and got is not None and field.name not in known:
                assert (field.name, got) == (field.name, due)
        assert theta(vars(taken)) in (None, theta(meant))


def demands(field: Any) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def theta(config: dict[str, Any]) -> Any:
    rope = config.get("rope_parameters") or {}
    return rope.get("full_attention", rope).get("rope_theta", config.get("rope_theta"))


def test_an_untied_llama_keeps_its_head_and_qwen2_its_theta() -> None:
    assert config_for({"model_type": "llama"})["tie_word_embeddings"] is False
    assert config_for({"model_type": "qwen2"})["rope_theta"] == 10000.0
    assert config_for({"model_type": "qwen2", "rope_parameters": {"rope_theta": 5.0}})["rope_theta"] == 5.0
    assert config_for({"model_type": "mistral", "sliding_window": None})["sliding_window"] is None


def test_an_absent_key_does_not_cost_a_model_its_head(tmp_path: Path) -> None:
    config = {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 64,
        "rms_norm_eps": 1e-6,
    }
    dense = tiny_models.write(tmp_path / "source", config | {"tie_word_embeddings": False})
    (tmp_path / "source" / "config.json").write_text(
        json.dumps(config | {"quantization_config": tiny_models.QUANTIZATION})
    )
    expected = tiny_models.logits(config | {"tie_word_embeddings": False}, dense)
    convert(tmp_path / "source", tmp_path / "out", progress=False)
    model, _ = mlx_lm.utils.load_model(tmp_path / "out")
    assert np.abs(tiny_models.ran(model) - expected).max() < 1e-4 * np.abs(expected).max()
