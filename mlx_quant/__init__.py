"""Decodes packed, pre-quantised LLM checkpoints (GPTQ, AWQ) on MLX, bit for bit."""

from .checkpoint import Checkpoint, PackedModule
from .conversion.convert import convert
from .conversion.job import ConversionReport
from .dialects.schemes import Scheme
from .errors import ConversionError, MalformedCheckpoint, QuantError, QuantWarning, UnsupportedFormat
from .module import dequantize, to_affine, to_native
from .packings.registry import formats
from .packings.status import Evidence, FormatStatus
from .running.load import load
from .running.switch import disable, enable, enabled
from .version import __version__
from .weights.native import AffineWeights, NativeWeights

__all__ = [
    "AffineWeights",
    "Checkpoint",
    "ConversionError",
    "ConversionReport",
    "Evidence",
    "FormatStatus",
    "MalformedCheckpoint",
    "NativeWeights",
    "PackedModule",
    "QuantError",
    "QuantWarning",
    "Scheme",
    "UnsupportedFormat",
    "__version__",
    "convert",
    "dequantize",
    "disable",
    "enable",
    "enabled",
    "formats",
    "load",
    "to_affine",
    "to_native",
]
