"""Smoke test on public repos, each pinned to one commit: ``python examples/hub_smoke.py``, or ``tox -e hub``.

Downloads about 1.2 GB into the Hub cache, once. For every repo: the headers tell its scheme and no weights are
downloaded for that; both targets load, answer a question, and give a text the same perplexity within one per cent.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from huggingface_hub import try_to_load_from_cache
from mlx_lm import generate

import mlx_quant
from mlx_quant.cli.inspection import inspect

TEXT = (
    "The lighthouse keeper climbed the stairs every evening, lit the lamp, and wrote the weather in a book. "
    "When the fog came in he sounded the horn, and ships that could not see the rocks could at least hear them."
)
PERPLEXITY_BOUND = 0.01


@dataclass(frozen=True)
class Pinned:
    """A repo at one commit, and what is known of it.

    Attributes:
        method, group_size, modules: what its headers must tell; ``modules`` is the number of packed ones.
        question: given through the chat template if there is one.
        answer: a word that the greedy answer contains.
    """

    repo: str
    revision: str
    method: str
    group_size: int
    modules: int
    question: str = "What is the capital of France?"
    answer: str = "Paris"


PINNED = (
    Pinned(
        "Qwen/Qwen2.5-0.5B-Instruct-GPTQ-Int4",
        "c34a4a91629f09f73a285f32dbd26106b033c654",
        method="gptq",
        group_size=128,
        modules=24 * 7,
    ),
    Pinned(
        "Qwen/Qwen2.5-0.5B-Instruct-AWQ",
        "db09cd27ead7fee40cdee309693cf83601b9c899",
        method="awq",
        group_size=128,
        modules=24 * 7,
    ),
)


def check(pinned: Pinned, cache_dir: Path | None = None) -> Iterator[tuple[str, bool]]:
    """What was looked at, and whether it was as it should be, one after the other."""
    where: dict[str, Any] = {"revision": pinned.revision, "cache_dir": cache_dir}
    before = _cached(pinned, "model.safetensors", cache_dir)
    found = inspect(pinned.repo, **where)
    yield f"commit {found.commit}", found.commit == pinned.revision
    scheme = (found.scheme["method"], found.scheme["group_size"], sum(group.count for group in found.modules))
    yield f"headers say {scheme}", scheme == (pinned.method, pinned.group_size, pinned.modules)
    held = {shard: _cached(pinned, shard, cache_dir) for shard in found.shards}
    yield "no weights downloaded for that", before or not any(held.values())
    perplexities = {}
    for target in ("dense", "affine"):
        # In float32 the targets differ in nothing but the form of the weights, and a CPU computes fastest.
        model, tokenizer = mlx_quant.load(pinned.repo, target=target, dtype="float32", params_dtype="float32", **where)
        prompt: Any = pinned.question
        if tokenizer.has_chat_template:
            prompt = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True)
        answer = generate(model, tokenizer, prompt, max_tokens=24)
        yield f"{target}: {answer.strip()!r}", pinned.answer in answer
        perplexities[target] = perplexity(model, tokenizer)
        yield f"{target}: perplexity {perplexities[target]:.4f}", math.isfinite(perplexities[target])
    apart = abs(perplexities["affine"] / perplexities["dense"] - 1)
    yield f"perplexities {apart:.2%} apart", apart < PERPLEXITY_BOUND


def perplexity(model: Any, tokenizer: Any) -> float:
    """Of ``TEXT``."""
    tokens = mx.array([tokenizer.encode(TEXT)])
    logits = model(tokens[:, :-1]).astype(mx.float32)
    mean: Any = nn.losses.cross_entropy(logits, tokens[:, 1:], reduction="mean").item()
    return math.exp(mean)


def _cached(pinned: Pinned, name: str, cache_dir: Path | None) -> bool:
    found = try_to_load_from_cache(pinned.repo, name, cache_dir=cache_dir, revision=pinned.revision)
    return isinstance(found, str)


def main() -> int:
    """Exit status: 0 if everything was as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache-dir", type=Path, help="the Hub cache, if not the usual one")
    given = parser.parse_args()
    passed = True
    for pinned in PINNED:
        print(f"{pinned.repo} at {pinned.revision}")
        try:
            for text, good in check(pinned, given.cache_dir):
                print(f"  {'ok  ' if good else 'FAIL'} {text}", flush=True)
                passed &= good
        except mlx_quant.QuantError as error:
            print(f"  FAIL {error}")
            passed = False
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
