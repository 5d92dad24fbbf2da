"""Faults of real loaders, each built into a sound subject: what the suite must be able to see."""

from .loading import LOADING
from .model import Bug, Mutant, Subject
from .packing import GROUPS, PACKING
from .values import VALUES
from .zeros import ZEROS

MUTANTS: tuple[Mutant, ...] = (*ZEROS, *PACKING, *GROUPS, *VALUES, *LOADING)

__all__ = ["MUTANTS", "Bug", "Mutant", "Subject"]
