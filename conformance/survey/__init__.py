"""Many repos of the Hub at once: what they are, whether they are read, and who would misread them. No weights."""

from .listing import Repo

__all__ = ["Repo"]
