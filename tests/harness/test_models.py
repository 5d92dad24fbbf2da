"""Models that run: faults that neither the text nor the perplexity of a short one tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from conformance.levels.generation import heard
from conformance.levels.recitation import oracle_model
from conformance.subjects.resolve import ORACLE, resolve

NAME = "llama-awq-g32"
CASE = next(case for case in heard() if case.id == NAME)
Logits = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@pytest.fixture(scope="module")
def oracle() -> Any:
    return resolve(ORACLE)


class Loader:
    """transformers' model on the exact decode, with its logits changed; ``change`` is given the tokens and them."""

    name, framework = "models", "torch"

    def __init__(self, oracle: Any, change: Logits) -> None:
        self.refusals, self._oracle, self._change = oracle.refusals, oracle, change

    def load(self, folder: Any) -> Any:
        def model(tokens: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return self._change(tokens, oracle_model(self._oracle, NAME)(tokens).logits)

        return model


def _requantised(tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """As far off as requantisation to 4 bits was measured to be, in logits that no probability comes from."""
    noise = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    unlikely = logits < logits.median(-1, keepdim=True).values
    return logits - 0.7 * (noise.abs() * unlikely) * logits.std(-1, keepdim=True)


def _garbage_beyond(tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    return torch.cat([logits[:, :256], logits[:, 256:].flip(-1)], dim=1)


def _garbage_alone(tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    return logits.flip(-1) if tokens.shape[1] == 1 else logits


def test_a_sound_model_passes_in_half_precision_too(oracle: Any) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        verdict = CASE.judge(Loader(oracle, lambda _, logits, dtype=dtype: logits.to(dtype).float()), oracle)
        assert not verdict.complaint


@pytest.mark.parametrize(
    ("fault", "place"),
    [(_requantised, "of 600"), (_garbage_beyond, "token 256 of 600"), (_garbage_alone, "token 0 of 1")],
)
def test_what_a_short_text_does_not_tell(fault: Logits, place: str, oracle: Any) -> None:
    assert place in CASE.judge(Loader(oracle, fault), oracle).complaint
