"""The generation smoke test: a decoded tiny model must still know its text by heart.

Weights are widened to float32 (exactly) on both sides, so that what is compared is the weights and not two frameworks'
half-precision activations.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.frameworks import to_framework
from ..corpus.fixtures import TinyCheckpoint, checkpoint, recital
from ..mutants.rewrites import Fault
from ..subjects.ask import decode, load_weights
from ..subjects.subject import Model

PROMPT_TOKENS = 24
NEW_TOKENS = 96
WINDOW = 256
SMOKE_WINDOWS = 1
PERPLEXITY_BOUND = 0.01
# Two float32 implementations of the same sums differ by about 1e-5 in these logits; a smaller lead decides nothing.
TIE = 1e-3
# More tokens than a window has, and tokens that are asked alone.
LONG, ALONE = 600, 8
# Of logits, against the run on the exact decode: what computing in bfloat16 costs is 0.08 at most, silent
# requantisation to 4 bits 0.5 at least (docs/levels.md, where the measurement is).
LOGITS_BOUND = 0.2
# Half precision sends a token now and then to another expert, and its logits are then another model's: in bfloat16 2 of
# 600, requantised to 4 bits more than half of them (docs/levels.md).
STRAYS = 0.02
_ROUTED = {"num_local_experts", "num_experts", "n_routed_experts"}


@dataclass(frozen=True)
class Run:
    """Greedy continuation of the text's first tokens, and perplexity over the whole text."""

    tokens: list[int]
    perplexity: float


def dense_weights(subject: Any, oracle: Any, found: TinyCheckpoint, fault: Fault | None = None) -> dict[str, Array]:
    """All weights as the subject decodes them; module by module where it cannot load a checkpoint, or must err."""
    if fault is None and hasattr(subject, "load"):
        with found.lent() as folder:
            return load_weights(subject, folder)
    expected = load_weights(oracle, found.folder)
    weights = {name: array for name, array in found.tensors.items() if name in expected}
    for name, tensors in found.modules.items():
        rewritten = fault.rewrite(tensors) if fault and fault.rewrite else tensors
        value = decode(subject, found.config_of(name), rewritten)
        if not isinstance(value, Array):
            raise value.error
        weights[f"{name}.weight"] = value
    if fault and fault.forgets:
        for name in weights:
            if name.endswith(fault.forgets):
                weights[name] = Array(weights[name].dtype, np.zeros_like(weights[name].bits))
    return weights


def windows() -> list[list[int]]:
    ids = recital()[1]
    return [ids[start : start + WINDOW + 1] for start in range(0, len(ids) - WINDOW, WINDOW)]


def perplexity(log_probabilities: list[np.ndarray]) -> float:
    """exp of the mean negative log-probability of the tokens read; infinite when that overflows."""
    mean = -float(np.mean(np.concatenate(log_probabilities)))
    return math.exp(mean) if mean < 700 else math.inf


def mlx_model(found: TinyCheckpoint, weights: dict[str, Array]) -> Any:
    """The weights in mlx-lm's own model, in float32."""
    import mlx.core as mx
    from mlx_lm.utils import load_model

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = {key: value for key, value in found.config.items() if key != "quantization_config"}
        # mlx-lm looks for theta at the top alone; which config a loader writes is another question than its weights.
        theta = {key: value for key, value in config.get("rope_parameters", {}).items() if key == "rope_theta"}
        (folder / "config.json").write_text(json.dumps(theta | config | {"torch_dtype": "float32"}))
        widened = {name: to_framework(array.widened(), "mlx") for name, array in weights.items()}
        mx.save_safetensors(str(folder / "model.safetensors"), widened)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(found.folder / file, folder)
        return load_model(folder, lazy=False)[0]


def recite(model: Any) -> list[int]:
    """Continue the text's first tokens greedily."""
    import mlx.core as mx
    from mlx_lm.generate import generate_step

    prompt = mx.array(recital()[1][:PROMPT_TOKENS])
    return [int(token) for token, _ in generate_step(prompt, model, max_tokens=NEW_TOKENS)]


def read(model: Any, count: int | None = None) -> float:
    """Perplexity over the first ``count`` windows of the text, or over all of it."""
    import mlx.core as mx

    scores = []
    for window in windows()[:count]:
        logits = model(mx.array([window[:-1]]))[0].astype(mx.float32)
        logs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
        scores.append(np.array(mx.take_along_axis(logs, mx.array(window[1:])[:, None], axis=-1)[:, 0]))
    return perplexity(scores)


def run_mlx(found: TinyCheckpoint, weights: dict[str, Array], count: int | None = None) -> Run:
    """Load the weights in mlx-lm, continue greedily, and read the first ``count`` windows of the text or all of it."""
    model = mlx_model(found, weights)
    return Run(recite(model), read(model, count))


@cache
def oracle_model(oracle: Any, name: str) -> Any:
    """transformers' own model with the oracle's weights, in float32."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    found = checkpoint(name)
    config = AutoConfig.from_pretrained(found.folder)
    # A map beside config.json may be all that says it is packed.
    vars(config).pop("quantization_config", None)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    loaded = {key: to_framework(array.widened(), "torch") for key, array in load_weights(oracle, found.folder).items()}
    state = dict(_named_as(model.state_dict(), *pair) for pair in loaded.items())
    missing, unexpected = model.load_state_dict(state, strict=False)
    allowed = {"lm_head.weight"} if config.tie_word_embeddings else set()
    if set(missing) - allowed or unexpected:
        raise RuntimeError(f"{name}: missing {missing}, unexpected {unexpected}")
    model.tie_weights()
    return model


def _named_as(expected: Any, name: str, weight: Any) -> tuple[str, Any]:
    """A tensor as transformers has it: a stack of experts is a parameter without ``weight``, some of them turned.

    No stack of the fixtures is square.
    """
    stack = name.removesuffix(".weight")
    if name in expected or stack not in expected:
        return name, weight
    return stack, weight if weight.shape == expected[stack].shape else weight.transpose(-1, -2)


@cache
def run_transformers(oracle: Any, name: str, count: int | None = None) -> Run:
    """The run everybody is held to, over the first ``count`` windows of the text or over all of it."""
    import torch

    model = oracle_model(oracle, name)
    text = recital()[1][: PROMPT_TOKENS + NEW_TOKENS]
    with torch.no_grad():
        # As far as each most likely token is the text's, one pass over the text has made them all.
        likely = model(torch.tensor([text[:-1]])).logits[0, PROMPT_TOKENS - 1 :].argmax(-1).tolist()
        same = next((place for place, token in enumerate(text[PROMPT_TOKENS:]) if token != likely[place]), NEW_TOKENS)
        tokens, rest = likely[: same + 1], NEW_TOKENS - same - 1
        if rest > 0:
            given = torch.tensor([text[:PROMPT_TOKENS] + tokens])
            output = model.generate(given, max_new_tokens=rest, min_new_tokens=rest, do_sample=False)
            tokens = output[0, PROMPT_TOKENS:].tolist()
        scores = []
        for window in windows()[:count]:
            logs = model(torch.tensor([window[:-1]])).logits[0].log_softmax(-1)
            scores.append(logs.gather(-1, torch.tensor(window[1:])[:, None])[:, 0].numpy())
    return Run(tokens, perplexity(scores))


def run_model(model: Model) -> Run:
    """The same of a model that is only known to run, on the first windows of the text.

    Shown the text, it says after each token which would come next. The first that is not the text's is where a greedy
    continuation departs, so one pass does for all of them; what comes after a departure is of no concern.
    """
    text = recital()[1][: PROMPT_TOKENS + NEW_TOKENS]
    tokens = [int(token) for token in model(text[:-1])[PROMPT_TOKENS - 1 :].argmax(axis=-1)]
    scores = []
    for window in windows()[:SMOKE_WINDOWS]:
        logits = model(window[:-1]).astype(np.float64)
        logs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
        scores.append(np.take_along_axis(logs, np.array(window[1:])[:, None], axis=-1)[:, 0])
    return Run(tokens, perplexity(scores))


def logits_complaint(oracle: Any, name: str, model: Model) -> str:
    """Where the logits of a model are not those of the exact decode: over a long text, and of tokens asked alone."""
    text = recital()[1][:LONG]
    asked = [text, *([token] for token in dict.fromkeys(text[:ALONE]))]
    apart = [_apart(model(tokens), _exact_logits(oracle, name, tuple(tokens))) for tokens in asked]
    places = [f"token {place} of {len(tokens)}" for tokens in asked for place in range(len(tokens))]
    far = {where: off for where, off in zip(places, np.concatenate(apart), strict=True) if not off <= LOGITS_BOUND}
    if len(far) <= STRAYS * len(places) * bool(_ROUTED & checkpoint(name).config.keys()):
        return ""
    where, off = next(iter(far.items()))
    return f"logits of {where} are {off:.2g} off, above {LOGITS_BOUND}; of {len(far)} of {len(places)} in all"


@cache
def _exact_logits(oracle: Any, name: str, tokens: tuple[int, ...]) -> np.ndarray:
    import torch

    with torch.no_grad():
        return np.asarray(oracle_model(oracle, name)(torch.tensor([tokens])).logits[0].numpy())


def _apart(got: np.ndarray, due: np.ndarray) -> np.ndarray:
    """Root mean square of the difference over that of the logits due, a number a token; both without their mean."""
    one, other = (x.astype(np.float64) - x.mean(axis=-1, keepdims=True, dtype=np.float64) for x in (got, due))
    return np.asarray(np.sqrt(((one - other) ** 2).mean(axis=-1) / (other**2).mean(axis=-1)))


def complaint(oracle: Any, name: str, got: Run, count: int | None = None) -> str:
    """Why a run is not as good as the transformers run on the oracle's weights; empty when it is."""
    expected = run_transformers(oracle, name, count)
    return _numbers(got.perplexity, expected.perplexity) or _text(oracle, name, got.tokens, expected.tokens)


def smoke(oracle: Any, name: str, weights: dict[str, Array]) -> str:
    """The same complaint for a hundred mutants: the text first, which is quick, then the first windows only."""
    expected = run_transformers(oracle, name, SMOKE_WINDOWS)
    try:
        model = mlx_model(checkpoint(name), weights)
        return _text(oracle, name, recite(model), expected.tokens) or _numbers(
            read(model, SMOKE_WINDOWS), expected.perplexity
        )
    except ValueError as error:  # mlx-lm's way of saying that names or shapes do not fit the model
        return f"mlx-lm does not load it: {error}"


def _numbers(got: float, expected: float) -> str:
    if abs(got / expected - 1) <= PERPLEXITY_BOUND:
        return ""
    return f"perplexity {got:.4g}, expected {expected:.6g} within {PERPLEXITY_BOUND:.0%}"


def _text(oracle: Any, name: str, got: list[int], expected: list[int]) -> str:
    first = next((place for place, (a, b) in enumerate(zip(got, expected, strict=True)) if a != b), None)
    if first is None or _is_tie(oracle, name, expected[:first], got[first]):
        return ""
    return f"the text departs at token {first}"


def _is_tie(oracle: Any, name: str, shared: list[int], other: int) -> bool:
    import torch

    with torch.no_grad():
        logits = oracle_model(oracle, name)(torch.tensor([recital()[1][:PROMPT_TOKENS] + shared])).logits[0, -1]
    return float(logits.max() - logits[other]) < TIE
