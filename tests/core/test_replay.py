"""What is kept of a call as a graph, and when it must not be; the same on every device."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import mlx.core as mx
import pytest

from mlx_quant import MalformedCheckpoint
from mlx_quant.weights import later
from mlx_quant.weights.compiled import _functions
from mlx_quant.weights.replay import _not_so, replay


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    _functions.of.clear()
    _not_so.clear()
    # The first graph of a process is traced once more by its second call.
    first = mx.compile(lambda array: array.sum())
    mx.eval([first(mx.zeros(2)) for _ in range(2)])


@pytest.mark.skipif(shutil.which("g++") is None, reason="MLX keeps no graph on a CPU without a compiler")
def test_what_was_asked_once_is_known_for_that_plan_and_shape() -> None:
    asked = []

    def make(array: mx.array) -> mx.array:
        asked.append(array.shape)
        return array.sum(axis=0)

    for numbers in ([[1, 2], [3, 4]], [[5, 6], [7, 8]]):
        found = replay(make, ("plan",), [mx.array(numbers)])
        assert found is not None
        assert found.tolist() == [numbers[0][0] + numbers[1][0], numbers[0][1] + numbers[1][1]]
    assert asked == [(2, 2)]
    assert replay(make, ("plan",), [mx.zeros((3, 2))]) is not None
    assert replay(make, ("plan",), [mx.zeros((2, 2), dtype=mx.float16)]) is not None
    assert replay(make, ("another plan",), [mx.zeros((2, 2))]) is not None
    assert asked == [(2, 2), (3, 2), (2, 2), (2, 2)]


def _refuse(_: mx.array) -> mx.array:
    raise MalformedCheckpoint("bad-shape", "as a packing says")


@pytest.mark.parametrize("make", [_refuse, lambda array: mx.array(array.sum().item())])
def test_whoever_refuses_or_must_see_numbers_is_asked_himself(make: Callable[[mx.array], mx.array]) -> None:
    for _ in range(2):
        assert replay(make, (make,), [mx.zeros((2, 2))]) is None
    assert len(_not_so) == 1


def test_what_one_shape_needs_another_may_not() -> None:
    def make(array: mx.array) -> mx.array:
        return array.reshape(2, 3)

    assert replay(make, ("plan",), [mx.zeros(7)]) is None
    assert replay(make, ("plan",), [mx.zeros(6)]) is not None
    assert replay(make, ("plan",), [mx.zeros(7)]) is None
    assert replay(make, ("plan",), ["an array"]) is None  # type: ignore[list-item]


def test_a_check_that_can_be_part_of_it_is_and_says_no() -> None:
    def make(array: mx.array) -> mx.array:
        assert later.postpone(array, pytest.fail, lambda: mx.any(array))
        return array.sum()

    for number, known in ((0, True), (1, False), (0, True)):
        assert (replay(make, ("plan",), [mx.array([0, number])]) is not None) == known
    assert not _not_so
    assert not later.postpone(mx.zeros(1), pytest.fail), "a trace must leave nothing behind"


def test_a_check_that_only_a_host_can_do_is_not() -> None:
    def make(array: mx.array) -> mx.array:
        later.postpone(array, pytest.fail)
        return array.sum()

    assert replay(make, ("plan",), [mx.zeros(2)]) is None
    assert len(_not_so) == 1


def test_what_a_kernel_tells_needs_no_check_and_is_read_each_time() -> None:
    """A kernel writes into memory that is an input to MLX: here the host does, before it would."""
    blanks: list[mx.array] = []

    def make(array: mx.array) -> mx.array:
        later.postpone(array, pytest.fail)
        found = array.sum() + later.blank()[0]
        later.tells(later.blank(), found, array)
        return found

    blank = later.blank

    def written() -> mx.array:
        blanks.append(mx.array([len(blanks) == 1, 0], dtype=mx.uint32))
        return blanks[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("mlx_quant.weights.replay.later.blank", lambda: written() if not _tracing() else blank())
        assert [replay(make, ("plan",), [mx.zeros(2)]) is not None for _ in range(3)] == [True, False, True]
    assert len(_functions.of) == 1


def _tracing() -> bool:
    return later._thread.waiting is not None
