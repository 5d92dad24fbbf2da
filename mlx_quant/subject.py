"""The core as a conformance subject. Nothing here imports the harness."""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlx.core as mx

from .convert import convert
from .errors import QuantError
from .formats import ENABLED
from .module import dequantize, to_affine
from .version import __version__


class _Subject:
    name = "mlx_quant"
    framework = "mlx"
    refusals = (QuantError,)

    def info(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "formats": sorted(ENABLED),
            "backend": str(mx.default_device()),
            "mlx": version("mlx"),
            # MLX has no groups of other sizes, and none that are not of one size.
            "affine": {"formats": sorted(ENABLED), "excludes": ["arbitrary-groups", "ragged"], "biases": "nearest"},
        }

    dequantize = staticmethod(dequantize)
    to_affine = staticmethod(to_affine)

    def load(self, checkpoint_dir: str | Path) -> dict[str, mx.array]:
        """Every dense weight by its Hugging Face name, by way of a real conversion."""
        weights: dict[str, mx.array] = {}
        with tempfile.TemporaryDirectory() as scratch:
            report = convert(checkpoint_dir, Path(scratch) / "dense", target="dense", progress=False)
            for file in report.files:
                loaded = mx.load(str(Path(report.destination) / file))
                assert isinstance(loaded, dict)
                weights |= loaded
            mx.eval(weights)
        return weights


SUBJECT = _Subject()
