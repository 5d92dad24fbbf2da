"""Dense decode of one matrix of a real model's size.

Contenders: the core; upstream's formula in plain torch; the reference, which is slow on purpose; a copy of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
import torch

import mlx_quant
import reference

SHAPES = [(4096, 4096), (14336, 4096)]  # [out, in]
GROUP_SIZE = 128
KINDS = ("gptq", "gptq-act-order", "awq")


def module(kind: str, out: int, in_features: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    groups = in_features // GROUP_SIZE
    draw = lambda *shape: rng.integers(-(2**31), 2**31, shape, dtype=np.int32)  # noqa: E731
    tensors = {"qzeros": draw(groups, out // 8), "scales": (rng.random((groups, out)) / 100).astype(np.float16)}
    if kind == "awq":
        config = {"quant_method": "awq", "bits": 4, "group_size": GROUP_SIZE, "version": "gemm"}
        return config, tensors | {"qweight": draw(in_features, out // 8)}
    config = {"quant_method": "gptq", "bits": 4, "group_size": GROUP_SIZE, "sym": False}
    tensors["qweight"] = draw(in_features // 8, out)
    if kind == "gptq-act-order":
        tensors["g_idx"] = rng.permutation(np.arange(in_features, dtype=np.int32) // GROUP_SIZE)
    return config, tensors


def upstream_formula(kind: str, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    """The shifts, masks and product of AutoGPTQ's and AutoAWQ's CPU paths, as a user of torch would write them."""
    shifts = torch.arange(0, 32, 4, dtype=torch.int32)
    qweight, qzeros, scales = tensors["qweight"], tensors["qzeros"], tensors["scales"]
    z = ((qzeros[:, :, None] >> shifts).to(torch.int8) & 15).flatten(1)
    if kind == "awq":
        order = (torch.arange(z.shape[1]).view(-1, 8)[:, [0, 4, 1, 5, 2, 6, 3, 7]]).flatten()
        q = (((qweight[:, :, None] >> shifts).to(torch.int8) & 15).flatten(1))[:, order]
        z = z[:, order]
    else:
        q = ((qweight[:, None, :] >> shifts[:, None]).to(torch.int8) & 15).flatten(0, 1)
        z = (z + 1) & 15
    if "g_idx" in tensors:
        group = tensors["g_idx"].long()
        return (scales[group] * (q - z[group])).T.contiguous()
    q = q.view(len(scales), -1, q.shape[1])
    return (scales[:, None] * (q - z[:, None])).flatten(0, 1).T.contiguous()


def contender(name: str, kind: str, out: int, in_features: int) -> Callable[[], Any]:
    config, tensors = module(kind, out, in_features)
    if name == "core":
        inputs = {key: mx.array(value) for key, value in tensors.items()}
        mx.eval(inputs)
        return lambda: mx.eval(mlx_quant.dequantize(config, inputs))
    if name == "reference":
        given = {key: torch.from_numpy(value) for key, value in tensors.items()}
        return lambda: reference.dequantize(config, given)
    if name == "torch":
        given = {key: torch.from_numpy(value) for key, value in tensors.items()}
        return lambda: upstream_formula(kind, given)
    dense = np.ones((out, in_features), np.float16)
    return dense.copy


@pytest.mark.parametrize("contender_name", ["core", "torch", "reference", "copy"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_dense(benchmark: Any, shape: tuple[int, int], kind: str, contender_name: str) -> None:
    benchmark.group = f"{kind} {shape[0]}x{shape[1]}"
    benchmark.extra_info["dense_bytes"] = 2 * shape[0] * shape[1]
    benchmark.pedantic(
        contender(contender_name, kind, *shape), rounds=2 if contender_name == "reference" else 5, warmup_rounds=1
    )
