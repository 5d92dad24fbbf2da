"""A loader of 4-bit GPTQ in a few lines of NumPy, wrong in one place, and its adapter: see docs/first-verdict.md."""

from __future__ import annotations

from typing import Any

import numpy as np

SHIFTS = np.arange(0, 32, 4, dtype=np.uint32)


# What of GPTQ it does not read, by the flags of the suite's cases.
EXCLUDES = ["bits-2", "bits-3", "bits-8", "gptq_v2", "no-qzeros", "odd-width"]
EXCLUDES += ["scales-bfloat16", "scales-float32", "out-dtype"]


class UnsupportedError(Exception):
    """What this loader raises for what it does not read."""


def unpack(tensors: dict[str, np.ndarray], group_size: int) -> np.ndarray:
    """The weight [out, in] of one packed module."""
    qweight, qzeros, scales = (tensors[name] for name in ("qweight", "qzeros", "scales"))
    codes = ((qweight.view(np.uint32)[:, None] >> SHIFTS[:, None]) & 15).reshape(-1, qweight.shape[1])
    zeros = ((qzeros.view(np.uint32)[..., None] >> SHIFTS) & 15).reshape(len(qzeros), -1)
    size = len(codes) if group_size == -1 else group_size
    group = tensors["g_idx"] if "g_idx" in tensors else np.arange(len(codes)) // size
    # The mistake: version 1 of the format stores zero points less one.
    steps = codes.astype(np.float32) - zeros[group].astype(np.float32)
    return (scales[group].astype(np.float32) * steps).astype(scales.dtype).T


class _Subject:
    name, framework, refusals = "my-loader", "numpy", (UnsupportedError,)

    def info(self) -> dict[str, Any]:
        return {"version": "1.0", "formats": ["gptq"], "excludes": EXCLUDES}

    def dequantize(self, config: dict[str, Any], tensors: dict[str, np.ndarray], *, dtype: Any = None) -> np.ndarray:
        if str(config.get("quant_method")).lower() != "gptq" or config.get("bits") != 4:
            raise UnsupportedError("only GPTQ of 4 bits")
        if "gptq_v2" in (config.get("checkpoint_format"), config.get("format")):
            raise UnsupportedError("only version 1")
        if dtype not in (None, "float16") or tensors["scales"].dtype != np.float16:
            raise UnsupportedError("only float16")
        return unpack(tensors, config["group_size"])


SUBJECT = _Subject()
