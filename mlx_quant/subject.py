"""The core as a conformance subject. Nothing here imports the harness.

Candidates are decoded as well, for it is here that they are proven.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import mlx.core as mx

from .checkpoint.checkpoint import Checkpoint
from .conversion.convert import convert
from .dialects.registry import DIALECTS
from .errors import QuantError
from .module import dequantize, to_affine
from .packings.registry import PACKINGS
from .version import __version__
from .weights import cpu
from .weights.native import NativeWeights


class _Opened(Mapping[str, mx.array]):
    """The packed modules of a checkpoint as ``<module>.weight``, each decoded when it is asked for."""

    def __init__(self, checkpoint_dir: str | Path) -> None:
        self._checkpoint = Checkpoint.open(checkpoint_dir, candidates=True)

    def __getitem__(self, name: str) -> mx.array:
        module = name.removesuffix(".weight")
        if module == name or module not in self._checkpoint.modules:
            raise KeyError(name)
        return self._checkpoint.dequantize(module)

    def __iter__(self) -> Iterator[str]:
        return (f"{module}.weight" for module in self._checkpoint.modules)

    def __len__(self) -> int:
        return len(self._checkpoint.modules)


def _claimed() -> list[str]:
    """Dialects and packings, and DeepSeek's part of a dialect: what the suite calls a format is one of them."""
    return sorted({*DIALECTS, *PACKINGS, "deepseek"})


class _Subject:
    name = "mlx_quant"
    framework = "mlx"
    refusals = (QuantError,)

    def info(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "formats": _claimed(),
            "backend": str(mx.default_device()),
            "mlx": version("mlx"),
            # MLX has no groups of fewer than 32, none that are not of one size, no scales of inputs, and no divisors.
            # Nor has it turned inputs; of SINQ's scales of inputs no flag says whether they are all one.
            "affine": {
                "formats": _claimed(),
                "excludes": [
                    *("arbitrary-groups", "ragged", "group-size-16", "pre_quant_scale", "scaled-activation"),
                    *("quotient-overflows", "paroquant", "sinq"),
                ],
            },
        }

    dequantize = staticmethod(functools.partial(dequantize, candidates=True))
    to_affine = staticmethod(functools.partial(to_affine, candidates=True))
    open = staticmethod(_Opened)

    def survey(self, repo_id: str, revision: str | None = None, **options: Any) -> Iterator[dict[str, Any]]:
        """What a repo on the Hub is, without its weights; see :func:`mlx_quant.checkpoint.survey.survey`."""
        from .checkpoint.survey import survey

        return survey(repo_id, revision, **options)

    def load(self, checkpoint_dir: str | Path) -> dict[str, mx.array]:
        """Every dense weight by its Hugging Face name, by way of a real conversion."""
        weights: dict[str, mx.array] = {}
        with tempfile.TemporaryDirectory() as scratch:
            options: dict[str, Any] = {"candidates": True, "progress": False, "durable": False}
            report = convert(checkpoint_dir, Path(scratch) / "dense", target="dense", **options)
            for file in report.files:
                loaded = mx.load(str(Path(report.destination) / file))
                assert isinstance(loaded, dict)
                weights |= loaded
            mx.eval(weights)
        return weights


def _twice(decode: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What ``decode`` gives with the CPU's kernels; AssertionError unless NumPy alone gives, or refuses, the same."""
    answers: list[Any] = []
    for asked in (contextlib.nullcontext(), cpu.without()):
        with asked:
            try:
                answers.append(decode(*args, **options))
                mx.eval(_arrays(answers[-1]))
            except QuantError as error:
                answers.append(error)
    first, second = answers
    if isinstance(first, QuantError):
        assert str(first) == str(second), f"{first!r} with kernels, {second!r} without"
        raise first
    assert not isinstance(second, QuantError), f"{second!r} without kernels"
    for one, other in zip(_arrays(first), _arrays(second), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype), "with kernels it has another shape or dtype"
        assert mx.array_equal(one.view(mx.uint8), other.view(mx.uint8)).item(), "with kernels it has other bits"
    return first


def _arrays(answer: mx.array | NativeWeights) -> list[mx.array]:
    return [answer] if isinstance(answer, mx.array) else list(answer.arrays.values())


class _OpenedTwice(_Opened):
    def __getitem__(self, name: str) -> mx.array:
        return cast(mx.array, _twice(super().__getitem__, name))


class _Both(_Subject):
    """The core, asked with the CPU's kernels and again without: what differs between them is an error."""

    open = staticmethod(_OpenedTwice)

    def info(self) -> dict[str, Any]:
        return super().info() | {"kernels": "with and without" if cpu.kernels(cpu.WORTH) else "none here"}

    dequantize = staticmethod(functools.partial(_twice, _Subject.dequantize))
    to_affine = staticmethod(functools.partial(_twice, _Subject.to_affine))


SUBJECT = _Subject()
BOTH = _Both()
