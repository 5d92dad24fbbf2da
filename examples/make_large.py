"""Make an artificial packed checkpoint with the layer shapes of a 7B Llama, in several shards.

    python examples/make_large.py OUT [--method gptq|awq] [--act-order] [--layers 2]

The weights are random, so the model talks nonsense, but every step a real repo goes through can be tried on it and
timed: inspect, convert, load, generate, LoRA. Shards are cut by size alone, so modules lie across them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer
from safetensors.numpy import save_file

HIDDEN, INTERMEDIATE, GROUP_SIZE = 4096, 11008, 128
# [out, in] of the packed modules of one layer
MODULES = {
    **{f"self_attn.{name}_proj": (HIDDEN, HIDDEN) for name in "qkvo"},
    "mlp.gate_proj": (INTERMEDIATE, HIDDEN),
    "mlp.up_proj": (INTERMEDIATE, HIDDEN),
    "mlp.down_proj": (HIDDEN, INTERMEDIATE),
}
BASE = Path(__file__).parents[1] / "fixtures" / "base" / "llama-base"


def packed(rng: np.random.Generator, out: int, in_features: int, method: str, act_order: bool) -> dict[str, np.ndarray]:
    def words(*shape: int) -> np.ndarray:
        return rng.integers(-(2**31), 2**31, shape, dtype=np.int32)

    groups = in_features // GROUP_SIZE
    scales = (rng.random((groups, out)) * 0.004 + 0.001).astype(np.float16)
    # Zero points 7 and 8, so that the random layers are centred and activations stay finite.
    nibbles = rng.integers(7, 9, (groups, out // 8, 8), dtype=np.uint32) - (method == "gptq")
    qzeros = (nibbles << (4 * np.arange(8, dtype=np.uint32))).sum(axis=2, dtype=np.uint32).view(np.int32)
    tensors = {"qzeros": qzeros, "scales": scales}
    if method == "awq":
        return tensors | {"qweight": words(in_features, out // 8)}
    order = np.arange(in_features, dtype=np.int32) // GROUP_SIZE
    g_idx = rng.permutation(order) if act_order else order
    return tensors | {"qweight": words(in_features // 8, out), "g_idx": g_idx}


def main(
    out: Path,
    method: Annotated[Literal["gptq", "awq"], typer.Option()] = "gptq",
    act_order: Annotated[bool, typer.Option("--act-order")] = False,
    layers: int = 2,
    shard_megabytes: int = 100,
) -> None:
    rng = np.random.default_rng(0)
    out.mkdir(parents=True)
    config = json.loads((BASE / "config.json").read_text())
    config |= {"hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE, "num_hidden_layers": layers, "head_dim": 128}
    config |= {"num_attention_heads": 32, "num_key_value_heads": 32}
    quantization = {"quant_method": method, "bits": 4, "group_size": GROUP_SIZE}
    quantization |= (
        {"version": "gemm", "zero_point": True} if method == "awq" else {"sym": False, "desc_act": act_order}
    )
    (out / "config.json").write_text(json.dumps(config | {"quantization_config": quantization}, indent=2))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BASE / name, out)

    table = (rng.standard_normal((2, config["vocab_size"], HIDDEN)) * 0.02).astype(np.float16)
    tensors = {"model.embed_tokens.weight": table[0], "lm_head.weight": table[1]}
    norm = np.ones(HIDDEN, np.float16)
    tensors["model.norm.weight"] = norm
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        tensors |= {prefix + name: norm for name in ("input_layernorm.weight", "post_attention_layernorm.weight")}
        for module, shape in MODULES.items():
            leaves = packed(rng, *shape, method, act_order)
            tensors |= {f"{prefix}{module}.{leaf}": array for leaf, array in leaves.items()}

    shards: list[dict[str, np.ndarray]] = [{}]
    for name, array in sorted(tensors.items()):
        if sum(held.nbytes for held in shards[-1].values()) + array.nbytes > shard_megabytes << 20:
            shards.append({})
        shards[-1][name] = array
    weight_map = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(shard, out / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, file)
    total = sum(array.nbytes for array in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
    print(f"{out}: {len(tensors)} tensors, {total / 1e6:.0f} MB in {len(shards)} shards")


if __name__ == "__main__":
    typer.run(main)
