"""From a name to a subject."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from ..bits.frameworks import FRAMEWORKS
from .program import CommandError, CommandSubject
from .served import served
from .subject import ABILITIES, PARTS, SubjectError

CORE = "py:mlx_quant.subject:SUBJECT"
# In a checkout this package is `conformance` beside `reference`; installed, both carry the project's prefix.
ORACLE = f"py:{'mlx_quant_reference' if __package__.startswith('mlx_quant') else 'reference'}.subject:SUBJECT"


def _command(target: str) -> Any:
    try:
        return CommandSubject(target)
    except CommandError as error:
        raise SubjectError(str(error)) from error


# What stands before the colon of a name, to what finds the rest. Whoever stands above this room adds his own.
SCHEMES: dict[str, Callable[[str], Any]] = {"py": pkgutil.resolve_name, "cmd": _command}


def resolve(name: str) -> Any:
    """The subject called ``name``.

    ``py:package.module:object``; ``cmd:./program`` (docs/protocol.md); ``mutant:ID``, the sound reference with one
    fault of docs/mutants.md built in; or the name of an entry point of group ``mlx_quant.subjects``.

    Raises SubjectError where there is none, or where it lacks what a subject needs.
    """
    scheme, _, target = name.partition(":")
    try:
        subject = SCHEMES[scheme](target) if scheme in SCHEMES else _installed(name)
    except (ImportError, AttributeError, ValueError, SubjectError) as error:
        raise SubjectError(f"{name}: {error}") from error
    if missing := [part for part in PARTS if not hasattr(subject, part)]:
        raise SubjectError(f"{name}: a subject needs {', '.join(missing)}")
    if not any(hasattr(subject, ability) for ability in ABILITIES):
        raise SubjectError(f"{name}: a subject needs one of {', '.join(ABILITIES)}")
    if subject.framework not in FRAMEWORKS:
        raise SubjectError(f"{name}: framework {subject.framework!r} is none of {', '.join(FRAMEWORKS)}")
    return subject


def resolve_apart(name: str) -> Any:
    """As :func:`resolve`, but code that is not ours answers from a process of its own and cannot end this one.

    ``mutant:`` subjects are the reference with a fault built in, and stay here.
    """
    scheme = name.partition(":")[0]
    if scheme in SCHEMES and scheme != "py":
        return resolve(name)
    try:
        return served(name)
    except CommandError as error:
        raise SubjectError(f"{name}: {error}") from error


def _installed(name: str) -> Any:
    found = {point.name: point for point in entry_points(group="mlx_quant.subjects")}
    if name not in found:
        raise SubjectError(f"no such subject; installed: {', '.join(sorted(found)) or 'none'}")
    return found[name].load()
