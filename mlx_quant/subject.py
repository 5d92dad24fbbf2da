"""The core as a conformance subject. Nothing here imports the harness.

Candidates are decoded as well, for it is here that they are proven.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlx.core as mx

from .checkpoint.checkpoint import Checkpoint
from .conversion.convert import convert
from .dialects.registry import DIALECTS
from .errors import QuantError
from .module import dequantize, to_affine
from .packings.registry import PACKINGS
from .version import __version__


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


SUBJECT = _Subject()
