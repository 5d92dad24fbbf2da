"""The list of levels: what each is called and proves, how much of it there must be, and what mutants meet of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ..cases.case import Case
from . import arithmetic, drawn, generation, layouts, policies, real_modules, refusals, vectors
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
        132,
        132,
        {"dense": 49},
        lambda: vectors.upstream(),
    ),
    Level(
        "policies",
        "written policies",
        "one fixed answer where upstream readers disagree",
        47,
        47,
        {"dense": 22},
        lambda: [*policies.disputes(), *policies.spellings()],
    ),
    Level(
        "refusals",
        "refusals",
        "a typed error, never a guess or a crash, for unreadable input",
        90,
        90,
        {"dense": 90},
        refusals.unreadable,
    ),
    Level(
        "arithmetic",
        "arithmetic, enumerated",
        "every 16-bit scale times every q - z, rounded once",
        68,
        68,
        {"dense": 28},
        lambda: [*arithmetic.samples(), *arithmetic.non_finite(every=64)],
        "arithmetic",
    ),
    Level(
        "layouts",
        "layouts, proven",
        "every bit is read from its place, for each shape",
        538,
        538,
        {"dense": 96},
        lambda: layouts.proofs(layouts.few()),
    ),
    Level(
        "synthetic",
        "generated packs",
        "equal bits to the reference on every option and edge",
        2000,
        2000,
        {"dense": 228},
        lambda: [*drawn.kept(), *drawn.generated(DRAWN)],
        "every option",
    ),
    Level(
        "modules",
        "real checkpoints",
        "equal bits to the reference on what real quantisers packed",
        168,
        56,
        {"dense": 56},
        real_modules.modules,
    ),
    Level(
        "digests",
        "the same, upstream",
        "equal SHA-256 to upstream's own decode",
        168,
        56,
        met=real_modules.digests,
    ),
    Level(
        "affine",
        "affine triples",
        "codes and scales kept, biases by the rule that is named",
        0,
        0,
        {"affine": 430},
    ),
    Level(
        "generation",
        "recitation in mlx-lm",
        "text and perplexity of transformers on the reference",
        12,
        4,
        {"logits": 4},
        generation.heard,
        "recitation",
    ),
    Level(
        "checkpoints",
        "checkpoint folders",
        "the right files, settings and modules, or a refusal",
        162,
        146,
        {"checkpoint": 73},
        every.cases,
    ),
    Level("faults", "broken on purpose", "the recitation notices a broken convention", 14, 7),
    Level("mutants", "faults of real loaders", "a level that should notice each of them does", 107, 107),
)
# Levels that the project's own tests check; the others are asked of subjects only.
CHECKED = tuple(level for level in LEVELS if level.floor)
MET = {level.id: level.met for level in LEVELS if level.met is not None}
FLOORS = {(level.id, claim): count for level in LEVELS for claim, count in level.asked.items()}
TITLES = {level.id: level.title_asked or level.title for level in LEVELS if level.asked}
