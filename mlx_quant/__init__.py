"""Decodes packed, pre-quantised LLM checkpoints (GPTQ, AWQ) on MLX, bit for bit."""

__version__ = "0.1.0"

from . import formats
from .checkpoint import Checkpoint, PackedModule
from .config import Scheme
from .convert import ConversionReport, convert
from .errors import ConversionError, MalformedCheckpoint, QuantError, QuantWarning, UnsupportedFormat
from .load import load
from .module import dequantize, to_affine
from .packed import AffineWeights

__all__ = [
    "AffineWeights",
    "Checkpoint",
    "ConversionError",
    "ConversionReport",
    "MalformedCheckpoint",
    "PackedModule",
    "QuantError",
    "QuantWarning",
    "Scheme",
    "UnsupportedFormat",
    "convert",
    "dequantize",
    "formats",
    "load",
    "to_affine",
]
