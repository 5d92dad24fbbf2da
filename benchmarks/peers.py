"""The CPU against the loaders that a user would take instead, each running its own code: ``tox -e bench``.

Ours and theirs take turns, so that whatever else the machine does hits both; what counts is the median of the ratios
of neighbouring turns. CPU seconds are of all threads, and are what a busy machine distorts least.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils
import numpy as np
from unsloth_zoo.mlx import loader as unsloth

import mlx_quant
from benchmarks.modules import GROUP_SIZE, module

SHAPE = (4096, 4096)
IN_A_ROW = 4
Work = Callable[[], Any]


def arrays(kind: str) -> tuple[dict[str, Any], dict[str, mx.array]]:
    config, tensors = module(kind, *SHAPE)
    found = {name: mx.array(value) for name, value in tensors.items()}
    mx.eval(found)
    return config, found


def unsloth_dense(kind: str, tensors: dict[str, mx.array]) -> mx.array:
    packed = (tensors["qweight"], tensors["qzeros"], tensors["scales"])
    if kind == "awq":
        return unsloth._awq_dequantize_weight(*packed, GROUP_SIZE, bits=4).astype(mx.float16)
    group = tensors.get("g_idx", mx.arange(SHAPE[1]) // GROUP_SIZE)
    return unsloth._gptq_dequantize_weight(*packed, group, bits=4).astype(mx.float16)


def ours_affine(config: dict[str, Any], tensors: dict[str, mx.array]) -> list[mx.array]:
    found = mlx_quant.to_affine(config, tensors)
    return [found.weight, found.scales, found.biases]


def contests() -> dict[str, tuple[Work, Work]]:
    """Name to what we do and what they do, each a lazy MLX result or an array of NumPy."""
    found: dict[str, tuple[Work, Work]] = {}
    for kind in ("gptq", "gptq-act-order", "awq"):
        config, tensors = arrays(kind)
        ours = lambda config=config, tensors=tensors: mlx_quant.dequantize(config, tensors)  # noqa: E731
        theirs = lambda kind=kind, tensors=tensors: unsloth_dense(kind, tensors)  # noqa: E731
        assert mx.array_equal(ours(), theirs()).item(), f"{kind}: the two differ"
        found[f"dense {kind} / unsloth-zoo"] = (ours, theirs)
        found[f"dense {kind} / copy of the result"] = (ours, np.ones(SHAPE, np.float16).copy)
    config, tensors = arrays("gptq")
    packed = (tensors["qweight"], tensors["qzeros"], tensors["scales"])
    found["affine gptq / unsloth-zoo"] = (
        lambda: ours_affine(config, tensors),
        lambda: unsloth._gptq_to_mlx_affine(*packed),
    )
    words = np.array(tensors["qweight"])
    found["affine gptq / copy of the words"] = (lambda: ours_affine(config, tensors), words.copy)
    other, awq = arrays("awq")
    named = {f"layer.{name}": value for name, value in awq.items()}
    found["affine awq / mlx-lm"] = (
        lambda: ours_affine(other, awq),
        lambda: mlx_lm.utils._transform_awq_weights(named, other)[0],
    )
    return found


def timed(work: Work) -> tuple[float, float]:
    """Of one of a few modules in a row, as a model has them: the first wakes a core that slept."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(IN_A_ROW):
        found = work()
        if not isinstance(found, np.ndarray):  # MLX has only promised it so far
            mx.eval(found)
    return (time.perf_counter() - wall) / IN_A_ROW, (time.process_time() - cpu) / IN_A_ROW


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    mx.set_default_device(mx.cpu)
    rows = {}
    print("median of theirs / ours, by the clock and in CPU seconds; ours in ms")
    for name, (ours, theirs) in contests().items():
        timed(ours), timed(theirs)
        turns = [(*timed(ours), *timed(theirs)) for _ in range(options.turns)]
        clock, cpu = (statistics.median(turn[2 + i] / turn[i] for turn in turns) for i in (0, 1))
        rows[name] = {"clock": clock, "cpu": cpu, "ours": statistics.median(turn[0] for turn in turns)}
        print(f"{name:40} {clock:6.2f} {cpu:6.2f} {rows[name]['ours'] * 1e3:8.1f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
