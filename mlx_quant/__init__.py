"""Decodes packed, pre-quantised LLM checkpoints (GPTQ, AWQ) on MLX, bit for bit."""

from . import formats
from .checkpoint import Checkpoint, PackedModule
from .config import Scheme
from .convert import ConversionReport, convert
from .errors import ConversionError, MalformedCheckpoint, QuantError, QuantWarning, UnsupportedFormat
from .load import load
from .module import dequantize, to_affine
from .packed import AffineWeights
from .version import __version__

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
    "__version__",
    "convert",
    "dequantize",
    "formats",
    "load",
    "to_affine",
]
