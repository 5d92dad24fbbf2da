"""Decodes packed, pre-quantised LLM checkpoints (GPTQ, AWQ) on MLX, bit for bit."""

from .config import Scheme
from .errors import ConversionError, MalformedCheckpoint, QuantError, UnsupportedFormat
from .module import dequantize, to_affine
from .packed import AffineWeights

__version__ = "0.1.0"

__all__ = [
    "AffineWeights",
    "ConversionError",
    "MalformedCheckpoint",
    "QuantError",
    "Scheme",
    "UnsupportedFormat",
    "dequantize",
    "to_affine",
]
