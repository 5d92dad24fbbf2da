"""The list of levels: what each is called and proves, how much of it there must be, and what mutants meet of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ..cases.case import Case
from . import affine, arithmetic, drawn, generation, grid, layouts, policies, real_modules, refusals, state, vectors
from .folders import every

# Packs drawn for a mutant, a strategy: the property runs many more.
DRAWN = 120


@dataclass(frozen=True)
class Level:
    """One kind of evidence.

    Attributes:
        id, title: for programs and for people.
        proves: what passing it shows, for people.
        floor: number of checks of the project's own tests below which a run proves nothing.
        installed_floor: the same for an installed suite, which carries some of the real checkpoints only.
        asked: cases that every subject is asked, by claim; fewer mean that something of the suite is missing.
        met: the cases that mutants meet; None where the level is about mutants or recitations itself.
        title_asked: what reports call the part that every subject is asked, where that is another one.
    """

    id: str
    title: str
    proves: str
    floor: int
    installed_floor: int
    asked: Mapping[str, int] = field(default_factory=dict)
    met: Callable[[], Iterable[Case]] | None = None
    title_asked: str = ""


LEVELS = (
    Level(
        "vectors",
        "upstream vectors",
        "equal bits to the upstream packages' own readers",
        1440,
        1440,
        {"dense": 979},
        lambda: vectors.upstream(),
    ),
    Level(
        "policies",
        "written policies",
        "one fixed answer where upstream readers disagree",
        1393,
        1393,
        {"dense": 830},
        lambda: [*policies.disputes(), *policies.spellings()],
    ),
    Level(
        "refusals",
        "refusals",
        "a typed error, never a guess or a crash, for unreadable input",
        999,
        999,
        {"dense": 1733},
        refusals.unreadable,
    ),
    Level(
        "arithmetic",
        "arithmetic, enumerated",
        "every 16-bit scale times every q - z, rounded once",
        1533,
        1533,
        {"dense": 881},
        lambda: [*arithmetic.samples(), *arithmetic.non_finite(every=64)],
        "arithmetic",
    ),
    Level(
        "layouts",
        "layouts, proven",
        "every bit is read from its place, for each shape",
        3686,
        3686,
        {"dense": 1249},
        lambda: layouts.proofs(layouts.few()),
    ),
    Level(
        "synthetic",
        "generated packs",
        "equal bits to the reference on every option and edge",
        16000,
        16000,
        {"dense": 4131},
        lambda: drawn.met(DRAWN),
        "every option",
    ),
    Level(
        "sizes",
        "real sizes",
        "equal bits in modules with the shapes of 7B, 70B and MoE layers",
        396,
        396,
        {"dense": 274},
        lambda: grid.real_sizes(small_first=True),
    ),
    Level(
        "state",
        "state and inputs",
        "inputs and earlier answers stay, views are followed, decodes at once keep apart",
        168,
        168,
        {"dense": 120},
        state.state,
    ),
    Level(
        "modules",
        "real checkpoints",
        "equal bits to the reference on what real quantisers packed",
        634,
        453,
        {"dense": 481},
        real_modules.modules,
    ),
    Level(
        "digests",
        "the same, upstream",
        "equal SHA-256 to upstream's own decode",
        634,
        453,
        met=real_modules.digests,
    ),
    Level(
        "affine",
        "affine triples",
        "codes and scales kept, biases as near as their dtype allows",
        2091,
        2091,
        {"affine": 5421},
        affine.repacks,
    ),
    Level(
        "generation",
        "recitation in mlx-lm",
        "text and perplexity of transformers on the reference",
        46,
        33,
        {"logits": 35},
        generation.heard,
        "recitation",
    ),
    Level(
        "checkpoints",
        "checkpoint folders",
        "the right files, settings and modules, or a refusal",
        1628,
        1596,
        {"checkpoint": 1126},
        every.cases,
    ),
    Level("faults", "broken on purpose", "the recitation notices a broken convention", 14, 7),
    Level("mutants", "faults of real loaders", "a level that should notice each of them does", 470, 470),
)
# Levels that the project's own tests check; the others are asked of subjects only.
CHECKED = tuple(level for level in LEVELS if level.floor)
MET = {level.id: level.met for level in LEVELS if level.met is not None}
FLOORS = {(level.id, claim): count for level in LEVELS for claim, count in level.asked.items()}
TITLES = {level.id: level.title_asked or level.title for level in LEVELS if level.asked}
