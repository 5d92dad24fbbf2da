"""What a list of the suite says without drawing anything, held to what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conformance.cases.case import Listed
from conformance.cases.verdict import Verdict
from conformance.formats.build import Build, in_outline
from conformance.formats.folder import Folder
from conformance.formats.registry import FORMATS
from conformance.levels.folders.shelf import Shelf
from conformance.levels.folders.sound import build_of

GPTQ = next(format for format in FORMATS.values() if format.SLUG == "gptq")


def shelf(fields: Callable[[Build, bool], dict[str, Any]]) -> Shelf:
    """Two folders; ``fields`` is told whether the numbers of one are those of the one before."""

    def make() -> Iterator[Folder]:
        before: list[str] = []
        for id in ("one", "other"):
            build = build_of(GPTQ, id)
            same, before = sums(build) == before, sums(build)
            yield build.folder(**fields(build, same))

    return Shelf(make)


def sums(build: Build | Folder) -> list[str]:
    return [array.sha256() for own in build.packed.values() for array in own.tensors.values()]


def test_an_outline_is_a_folder_but_for_its_numbers() -> None:
    with in_outline():
        outlined, alike = build_of(GPTQ, "one", "qwen2", 2), build_of(GPTQ, "other", "qwen2", 2)
    drawn, other = build_of(GPTQ, "one", "qwen2", 2), build_of(GPTQ, "other", "qwen2", 2)

    def seen(build: Build) -> list[tuple[str, str, tuple[int, ...]]]:
        return [(name, array.dtype, array.shape) for name, array in build.stored().items()]

    assert seen(outlined) == seen(drawn)
    assert outlined.folder().json == drawn.folder().json
    assert [own.config for own in outlined.packed.values()] == [own.config for own in drawn.packed.values()]
    assert sums(outlined) == sums(alike)
    assert sums(drawn) != sums(other)


def test_what_is_written_into_one_outline_is_not_in_the_next() -> None:
    with in_outline():
        one, other = build_of(GPTQ, "one"), build_of(GPTQ, "other")
    before = sums(other)
    for own in one.packed.values():
        own.tensors["scales"].bits[:] = 0x7E00
        del own.tensors["qzeros"]
    assert sums(other) == before


def test_folders_are_drawn_once_and_when_they_are_looked_at() -> None:
    found = shelf(lambda build, same: {})
    assert [outline.id for outline in found.outlines] == ["gptq-one", "gptq-other"]
    assert "drawn" not in vars(found)
    assert found.folder("gptq-one") is found.folder("gptq-one")
    assert sums(found.folder("gptq-one")) == sums(build_of(GPTQ, "one"))


def renamed(build: Build, same: bool) -> dict[str, Any]:
    build.id += "-again" if same else ""
    return {}


@pytest.mark.parametrize(
    "fields",
    [
        renamed,
        lambda build, same: {"code": "bad-shape" if same else None},
        lambda build, same: {"code": "bad-shape", "either": same},
        lambda build, same: {"flags": frozenset({"dynamic"} if same else ())},
        lambda build, same: {"json": {"config.json": {"quant_method": "auto-round"} if same else {}}},
    ],
    ids=["id", "code", "either", "flags", "settings"],
)
def test_a_list_that_depends_on_numbers_is_told_so(fields: Callable[[Build, bool], dict[str, Any]]) -> None:
    with pytest.raises(RuntimeError, match="is listed otherwise than it is drawn"):
        shelf(fields).folder("gptq-one")


def test_a_list_of_another_length_is_told_so() -> None:
    lengths = iter([1, 2, 2, 1])
    for _ in range(2):
        found = Shelf(lambda: [build_of(GPTQ, id).folder() for id in ("one", "other")[: next(lengths)]])
        assert found.outlines
        with pytest.raises(RuntimeError, match="gptq-other is listed otherwise than it is drawn"):
            found.folder("gptq-one")


def test_a_case_is_made_when_it_is_looked_at() -> None:
    asked: list[str] = []

    def judge() -> Callable[..., Verdict]:
        asked.append("judge")
        return lambda subject, oracle: Verdict("wrong", "bits")

    def flags() -> frozenset[str]:
        asked.append("flags")
        return frozenset({"policy"})

    listed = Listed("one", "gptq", "state", "dense", judge, flags)
    called = listed.called("state/one", "state")
    assert not asked
    assert (called.id, called.format, called.level, called.tier) == ("state/one", "gptq", "state", "policy")
    assert asked == ["flags"]
    assert called.judge(None, None).complaint == listed.judge(None, None).complaint == "wrong"
    assert asked == ["flags", "judge"]
    assert Listed("one", "gptq", "state", "dense", judge, flags, tier="unsound").called("", "").tier == "unsound"
