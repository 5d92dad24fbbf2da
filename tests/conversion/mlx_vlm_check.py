"""Convert a tiny model that sees, and let the real mlx-vlm load it: run by ``tox -e mlx-vlm``.

Its language model must give the logits of mlx-vlm on the unquantised checkpoint, and its vision tower must hold what
the checkpoint holds.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path

import mlx.core as mx
import numpy as np
import torch
from mlx.utils import tree_flatten
from mlx_vlm.models.qwen3_vl import ModelConfig, VisionModel
from mlx_vlm.utils import load_model
from safetensors.torch import save_file

from mlx_quant import convert
from tests.conversion import tiny_models

VISION = {
    "model_type": "qwen3_vl",
    "depth": 1,
    "hidden_size": 32,
    "intermediate_size": 48,
    "out_hidden_size": 64,
    "num_heads": 2,
    "patch_size": 4,
    "num_position_embeddings": 16,
    "deepstack_visual_indexes": [],
}


def main() -> None:
    config = tiny_models.wrapper("qwen3_vl") | {"vision_config": VISION}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tower = vision_tower(config)
        dense = tiny_models.write(folder / "packed", config, besides=tower)
        (folder / "plain").mkdir()
        save_file({**dense, **tower}, folder / "plain" / "model.safetensors")
        (folder / "plain" / "config.json").write_text(json.dumps(config))
        expected = load_model(folder / "plain")
        due = logits(expected)
        for target in ("dense", "affine"):
            report = convert(folder / "packed", folder / target, target=target, params_dtype="float32", progress=False)
            found = load_model(folder / target)
            apart = np.abs(logits(found) - due).max() / np.abs(due).max()
            assert apart < 1e-4, f"{target}: logits are off by {apart}"
            seen = dict(tree_flatten(found.vision_tower.parameters()))
            for name, array in tree_flatten(expected.vision_tower.parameters()):
                assert mx.array_equal(seen[name], array).item(), name
            packed = sum("scales" in name for name, _ in tree_flatten(found.parameters()))
            assert packed == len(report.affine)
            print(f"{target}: {packed} modules packed, {len(seen)} vision tensors equal, logits within {apart:.1e}")


def vision_tower(config: dict) -> dict[str, torch.Tensor]:
    """Random tensors with Hugging Face's names and axes."""
    generator = torch.Generator().manual_seed(7)
    model = VisionModel(ModelConfig.from_dict(json.loads(json.dumps(config))).vision_config)
    found = {}
    for name, array in tree_flatten(model.parameters()):
        tensor = (torch.randn(*array.shape, generator=generator) * 0.1).half()
        if "patch_embed.proj.weight" in name:
            tensor = tensor.permute(0, 4, 1, 2, 3).contiguous()
        found[f"model.visual.{name}"] = tensor
    return found


def logits(model: object) -> np.ndarray:
    model.set_dtype(mx.float32)
    return np.array(model(tiny_models.TOKENS).logits).astype(np.float64)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
