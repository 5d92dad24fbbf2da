"""Checkpoint folders: written to disk, given to a subject's ``load``, and held to weights known beforehand."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...bits.array import Array
from ...cases.verdict import Verdict, asked_of, compared, together
from ...formats.folder import Folder
from ...subjects.ask import load_weights


def judge(folder: Folder, subject: Any, oracle: Any) -> Verdict:
    """Load the folder; nothing may be left behind, in it or among the temporary files, whatever happens."""
    with tempfile.TemporaryDirectory() as parent, _temporary_files_in(Path(parent, "tmp")) as scratch:
        written = folder.write(Path(parent))
        before = sorted(file.name for file in written.iterdir())
        verdict = _verdict(folder, written, subject, oracle)
        if not verdict.complaint and (left := sorted(file.name for file in scratch.iterdir())):
            return Verdict(f"left temporary files: {left}", "accepted")
        if not verdict.complaint and sorted(file.name for file in written.iterdir()) != before:
            return Verdict("the checkpoint's folder was changed", "accepted")
        return verdict


def _verdict(folder: Folder, written: Path, subject: Any, oracle: Any) -> Verdict:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            weights = load_weights(subject, written)
    except subject.refusals as error:
        if folder.code is None:
            return Verdict(f"refused: {error!r}", "refused")
        code = getattr(error, "code", folder.code)
        if code != folder.code:
            return Verdict(f"refused with the wrong code, not {folder.code}: {error}", "refused")
        return Verdict()
    except (Exception, SystemExit) as error:  # the harness must outlive whatever a loader does
        return Verdict(f"crashed: {error!r}", "crashed")
    if folder.code is not None and not folder.either:
        return Verdict(f"accepted, but {folder.code}", "accepted")
    return _weights(weights, expected(folder, oracle), folder.optional)


def expected(folder: Folder, oracle: Any) -> dict[str, Array]:
    """Every weight of the folder; packed modules are decoded by the oracle, one at a time."""
    return folder.plain | {
        f"{name}.weight": asked_of(oracle, packed.config, packed.tensors) for name, packed in folder.packed.items()
    }


def _weights(got: Mapping[str, Array], sound: Mapping[str, Array], optional: frozenset[str]) -> Verdict:
    required = sound.keys() - optional
    if missing := sorted(required - got.keys()):
        return Verdict(f"lacks {', '.join(missing[:3])} ({len(missing)} in all)", "bits")
    if extra := sorted(got.keys() - sound.keys()):
        return Verdict(f"has {', '.join(extra[:3])} ({len(extra)} in all), which is no weight of it", "bits")
    verdicts = [(name, compared(value, sound[name])) for name, value in sorted(got.items())]
    worst = next((name for name, verdict in verdicts if verdict.complaint), "")
    return together(worst, [verdict for _, verdict in verdicts])


@contextmanager
def _temporary_files_in(scratch: Path) -> Any:
    scratch.mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(scratch)
    try:
        yield scratch
    finally:
        tempfile.tempdir = before
