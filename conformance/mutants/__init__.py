"""Faults of real loaders, each built into a sound subject: what the suite must be able to see."""

from ..subjects.resolve import ORACLE, SCHEMES, resolve
from ..subjects.subject import SubjectError
from .activation import ACTIVATION
from .aqlm import AQLM
from .awq import AWQ
from .bitnet import BITNET
from .bitsandbytes import BITSANDBYTES
from .compressed import COMPRESSED
from .floats import FLOATS
from .folders import FOLDERS
from .fours import FOURS
from .gemma import GEMMA
from .hqq import HQQ
from .loading import LOADING
from .metal import METAL
from .model import Bug, Mutant, Subject
from .modelopt import MODELOPT
from .narrow import WORDS
from .narrow_quanto import NARROW_QUANTO
from .packing import GROUPS, PACKING
from .pairs import PAIRS
from .paroquant import PAROQUANT
from .parts_of_floats import PARTS_OF_FLOATS
from .quanto import QUANTO
from .quark import QUARK
from .repacking import REPACKING
from .rounds import ROUNDS
from .sinq import SINQ
from .sizes import SIZES
from .spelling import SPELLING
from .state import STATE
from .steps import STEPS
from .tiles import TILES
from .torchao import TORCHAO
from .torchao_mx import TORCHAO_MX
from .values import VALUES
from .vptq import VPTQ
from .widths import WIDTHS
from .zeros import ZEROS

MUTANTS: tuple[Mutant, ...] = (
    *ZEROS,
    *PACKING,
    *GROUPS,
    *VALUES,
    *WIDTHS,
    *ROUNDS,
    *SIZES,
    *STATE,
    *PAIRS,
    *SPELLING,
    *REPACKING,
    *FLOATS,
    *PARTS_OF_FLOATS,
    *FOURS,
    *COMPRESSED,
    *AWQ,
    *BITSANDBYTES,
    *HQQ,
    *MODELOPT,
    *METAL,
    *QUARK,
    *TILES,
    *WORDS,
    *TORCHAO,
    *TORCHAO_MX,
    *STEPS,
    *QUANTO,
    *NARROW_QUANTO,
    *GEMMA,
    *ACTIVATION,
    *AQLM,
    *BITNET,
    *PAROQUANT,
    *SINQ,
    *VPTQ,
    *LOADING,
    *FOLDERS,
)


def _called(id: str) -> Subject:
    mutant = next((mutant for mutant in MUTANTS if mutant.id == id), None)
    if mutant is None:
        raise SubjectError("no such mutant")
    return Subject(mutant, resolve(ORACLE))


SCHEMES["mutant"] = _called

__all__ = ["MUTANTS", "Bug", "Mutant", "Subject"]
