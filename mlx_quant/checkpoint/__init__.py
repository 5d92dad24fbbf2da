"""An open checkpoint: its configuration, its packed modules, and each of them decoded when it is asked for."""

from .checkpoint import Checkpoint
from .modules import PackedModule

__all__ = ["Checkpoint", "PackedModule"]
