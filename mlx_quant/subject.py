"""The core as a conformance subject. Nothing here imports the harness."""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from . import __version__
from .errors import QuantError
from .formats import ENABLED
from .module import dequantize


class _Subject:
    name = "mlx_quant"
    framework = "mlx"
    refusals = (QuantError,)

    def info(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "formats": sorted(ENABLED),
            "backend": str(mx.default_device()),
            "mlx": mx.__version__,
        }

    dequantize = staticmethod(dequantize)


SUBJECT = _Subject()
