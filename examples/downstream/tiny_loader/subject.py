"""The loader as a subject of the conformance suite."""

from __future__ import annotations

from typing import Any

import numpy as np

import tiny_loader


class _Subject:
    name, framework, refusals = "tiny-loader", "numpy", (tiny_loader.Unsupported,)

    def info(self) -> dict[str, Any]:
        excludes = ["scales-bfloat16", "scales-float32", "out-dtype", "legacy-config", "ragged", "policy"]
        excludes += ["bits-2", "bits-3", "bits-8", "gptq_v2", "no-qzeros", "awq-else", "scaled-activation"]
        return {"version": tiny_loader.__version__, "formats": ["gptq", "awq"], "excludes": excludes}

    def dequantize(self, quantization_config: dict[str, Any], tensors: dict[str, Any], *, dtype: Any = None) -> Any:
        if dtype not in (None, "float16"):
            raise tiny_loader.Unsupported(f"output in {np.dtype(dtype) if dtype != 'bfloat16' else dtype}")
        return tiny_loader.decode(quantization_config, tensors)


SUBJECT = _Subject()
