"""Tokens a second and memory of an act-order model on whatever device MLX has: packed with permuted inputs, and dense.

``python -m benchmarks.tokens`` makes layers of a 7B Llama in 4 bits, groups of 128, and loads them three times: with
act-order at its own width, with act-order as it would be without that (dense), and without act-order.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache

import mlx_quant

ROOT = Path(__file__).parents[1]


def measured(folder: Path, permute: bool, prompt: int, tokens: int) -> dict[str, float]:
    mx.clear_cache()
    mx.reset_peak_memory()
    begun = time.perf_counter()
    model, _ = mlx_quant.load(folder, permute=permute)
    mx.eval(model.parameters())
    found = {"load": time.perf_counter() - begun, "peak while loading": mx.get_peak_memory() / 1e6}
    mx.clear_cache()
    found["weights"] = mx.get_active_memory() / 1e6
    for _ in range(2):  # the first one compiles
        cache = make_prompt_cache(model)
        begun = time.perf_counter()
        mx.eval(model(mx.zeros((1, prompt), dtype=mx.int32), cache=cache))
        found["prompt"] = prompt / (time.perf_counter() - begun)
    token, times = mx.zeros((1, 1), dtype=mx.int32), []
    for _ in range(tokens):
        begun = time.perf_counter()
        token = mx.argmax(model(token, cache=cache)[:, -1:], axis=-1)
        mx.eval(token)
        times.append(time.perf_counter() - begun)
    return found | {"tokens": 1 / statistics.median(times)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--layers", type=int, default=9)
    parser.add_argument("--prompt", type=int, default=512, help="tokens; a CPU wants few")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, extra in (("act-order", ["--act-order"]), ("without act-order", [])):
            folder = Path(scratch) / name.replace(" ", "-")
            make = [sys.executable, ROOT / "examples/make_large.py", folder, "--layers", str(options.layers), *extra]
            subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
            rows[name] = measured(folder, True, options.prompt, options.tokens)
            if extra:
                rows["act-order, dense"] = measured(folder, False, options.prompt, options.tokens)
    print("model | load s | peak while loading MB | weights MB | prompt tokens/s | tokens/s")
    for name, row in rows.items():
        print(
            f"{name} | {row['load']:.2f} | {row['peak while loading']:.0f} | {row['weights']:.0f} | "
            f"{row['prompt']:.0f} | {row['tokens']:.1f}"
        )
    if options.json:
        options.json.write_text(json.dumps({"device": str(mx.device_info()), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
