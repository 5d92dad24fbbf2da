"""What a decode does besides answering: to its inputs, to earlier answers, and beside another one.

A loader decodes hundreds of modules of a checkpoint one after the other, often several at once, from arrays that are
views of a file or of each other. So none may write into what it was given, none may take back an answer, and none may
take the order of bytes in memory for the order of elements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import cycle
from typing import Any

from ..cases.case import Case, Listed
from ..cases.question import flags_of
from ..cases.verdict import Verdict, compared, together
from ..formats.module import Sample
from ..formats.protocol import Format
from ..formats.registry import FORMATS
from ..subjects.ask import attempted
from ..subjects.probe import KINDS, probe
from ..subjects.subject import Crashed, Refused


def state() -> Iterator[Case]:
    """Each kind of it, once a format."""
    for format in FORMATS.values():
        samples = cache(partial(_samples, format))
        for kind in KINDS:
            judge, flags = partial(_asked, kind, samples), partial(_flags, kind, samples)
            yield Listed(f"{format.SLUG}-{kind}", format.SLUG, "state", "dense", judge, flags)


def _asked(kind: str, samples: Callable[[], tuple[Sample, ...]]) -> Callable[[Any, Any], Verdict]:
    return partial(_judge, kind, samples())


def _flags(kind: str, samples: Callable[[], tuple[Sample, ...]]) -> frozenset[str]:
    return frozenset({kind}).union(*(flags_of(sample.config, sample.tensors) for sample in samples()))


def _samples(format: Format) -> tuple[Sample, Sample]:
    """The plainest module of a format, and another one of the same shape that is as plain."""
    plain = next(unmade.sample for unmade in format.grid() if unmade.name == format.SMOKE)
    shape, names = plain.parts.shape, plain.tensors.keys()
    alike = (
        sample
        for sample in (unmade.sample for unmade in format.grid())
        if sample.name != plain.name and sample.tensors.keys() == names and not sample.flags and sample.output is None
    )
    return plain, next(sample for sample in alike if sample.parts.shape == shape)


def _judge(kind: str, samples: tuple[Sample, ...], subject: Any, _: Any) -> Verdict:
    # A subject in another process looks there.
    look = subject.probe if hasattr(subject, "probe") else partial(probe, subject)
    found = attempted(subject, lambda: look(kind, [(sample.config, sample.tensors) for sample in samples]))
    if isinstance(found, Refused):
        return Verdict(f"refused: {found.error!r}", "refused")
    if isinstance(found, Crashed):
        return Verdict(f"crashed: {found.error!r}", "crashed")
    answers, complaints = found
    due = cycle(sample.parts.dense(None) for sample in samples)
    verdicts = [compared(answer, expected) for answer, expected in zip(answers, due, strict=False)]
    return together(kind, [*verdicts, *(Verdict(complaint, "bits") for complaint in complaints)])
