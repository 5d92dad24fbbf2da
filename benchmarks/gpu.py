"""The GPU half of the figures, as one script for any machine with CUDA or Metal: ``python benchmarks/gpu.py``.

Every figure is a median of one run, beside a copy of as many bytes as must be read and written, and torch's formula
where torch has the same device; all take turns, and a ratio is the median of those of the turns. Before anything is
timed, dense results are compared bit for bit with torch's, and affine ones with those of a CPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

import mlx_quant
from benchmarks.modules import KINDS, module, upstream_formula

SHAPES = [(4096, 4096), (14336, 4096), (28672, 8192)]


def medians(works: dict[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Seconds of each, and of each turn: they take turns, so that whatever else the machine does hits all."""
    turns = []
    for _ in range(rounds + 3):
        taken = {}
        for name, work in works.items():
            begin = time.perf_counter()
            work()
            taken[name] = time.perf_counter() - begin
        turns.append(taken)
    turns = turns[3:]
    return {name: statistics.median(turn[name] for turn in turns) for name in works}, turns


def synchronised() -> tuple[str | None, Callable[[], None]]:
    if torch.cuda.is_available():
        return "cuda", torch.cuda.synchronize
    if torch.backends.mps.is_available():
        return "mps", torch.mps.synchronize
    return None, lambda: None


def same_on_cpu(config: dict[str, Any], inputs: dict[str, mx.array]) -> bool:
    device, here = mx.default_device(), mlx_quant.to_affine(config, inputs).arrays
    mx.eval(here)
    mx.set_default_device(mx.cpu)
    there = mlx_quant.to_affine(config, inputs).arrays
    mx.eval(there)
    mx.set_default_device(device)
    bits = [{name: np.array(array).tobytes() for name, array in found.items()} for found in (here, there)]
    return bits[0] == bits[1]


def dense_of(found: mlx_quant.AffineWeights) -> Any:
    return [found.weight, found.scales, found.biases]


def measure(kind: str, shape: tuple[int, int], rounds: int) -> dict[str, Any]:
    config, drawn = module(kind, *shape)
    inputs = {name: mx.array(value) for name, value in drawn.items()}
    mx.eval(inputs)
    device, finish = synchronised()
    dense = mlx_quant.dequantize(config, inputs)
    packed = sum(value.nbytes for value in drawn.values())
    sources = [mx.ones((moved // 8,), dtype=mx.uint32) for moved in (packed + dense.nbytes, 2 * packed)]
    mx.eval(sources)
    works = {
        "dense": lambda: mx.eval(mlx_quant.dequantize(config, inputs)),
        "dense_bytes": lambda: mx.eval(sources[0] + 1),
        "affine": lambda: mx.eval(dense_of(mlx_quant.to_affine(config, inputs))),
        "affine_bytes": lambda: mx.eval(sources[1] + 1),
    }
    if device:
        given = {name: torch.from_numpy(value).to(device) for name, value in drawn.items()}
        expected = upstream_formula(kind, given).cpu().numpy()
        assert np.array_equal(np.array(dense).view(np.uint16), expected.view(np.uint16)), f"{kind} {shape} differs"
        assert same_on_cpu(config, inputs), f"{kind} {shape} differs in its affine form"

        def theirs() -> None:
            upstream_formula(kind, given)
            finish()

        works["torch"] = theirs
    found, turns = medians(works, rounds)
    ratios = {
        "of_the_bytes": statistics.median(turn["dense_bytes"] / turn["dense"] for turn in turns),
        "affine_to_bytes": statistics.median(turn["affine"] / turn["affine_bytes"] for turn in turns),
    }
    if device:
        ratios["against_torch"] = statistics.median(turn["torch"] / turn["dense"] for turn in turns)
    return {"kind": kind, "shape": shape} | found | ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [measure(kind, shape, options.rounds) for shape in SHAPES for kind in KINDS]
    print("out x in, kind: dense ms, of the bytes, against torch; affine ms, of the bytes")
    for row in rows:
        out, in_features = row["shape"]
        against = f"{row['against_torch']:.2f} x torch" if "torch" in row else "no torch here"
        print(
            f"{out} x {in_features} {row['kind']}: {row['dense'] * 1e3:.3f} ms, "
            f"{row['of_the_bytes']:.0%}, {against}; "
            f"{row['affine'] * 1e3:.3f} ms, {row['affine_to_bytes']:.1f} times"
        )
    if options.json:
        options.json.write_text(json.dumps({"device": str(mx.device_info()), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
