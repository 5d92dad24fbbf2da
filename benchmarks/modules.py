"""Modules to measure with, and upstream's formula in plain torch, on whatever device their tensors are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

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
    import torch  # which the peers' environment may lack

    qweight, qzeros, scales = tensors["qweight"], tensors["qzeros"], tensors["scales"]
    shifts = torch.arange(0, 32, 4, dtype=torch.int32, device=qweight.device)
    z = ((qzeros[:, :, None] >> shifts).to(torch.int8) & 15).flatten(1)
    if kind == "awq":
        order = (torch.arange(z.shape[1], device=qweight.device).view(-1, 8)[:, [0, 4, 1, 5, 2, 6, 3, 7]]).flatten()
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
