"""A site of plain files: which loader reads which checkpoint, why not, and what the formats are."""

from .build import Built, build
from .names import SiteError

__all__ = ["Built", "SiteError", "build"]
