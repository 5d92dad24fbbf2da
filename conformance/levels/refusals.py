"""Inputs that no decoder may accept: each is a sound module with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ..cases.case import Case
from ..cases.verdict import Verdict, declined
from ..formats import aqlm, bnb_4bit, ct_packed, fp8, gptq, hqq, vptq
from ..formats.module import Refusal
from ..formats.registry import FORMATS
from ..subjects.ask import decode
from ..subjects.subject import Subject

FOREIGN_METHODS = (
    "aqlm",
    "bitsandbytes",
    "compressed-tensors",
    "eetq",
    "fp8",
    "fp_quant",
    "hqq",
    "quip_sharp",
    "spqr",
    "vptq",
    "a-method-never-heard-of",
)
# Those of them that are decoded by now: by which format, and what it says of tensors that are not its own.
DECODED = {
    "fp8": (fp8.SLUG, "missing-tensor"),
    "compressed-tensors": (ct_packed.SLUG, "bad-config-value"),
    "bitsandbytes": (bnb_4bit.SLUG, "bad-config-value"),
    "hqq": (hqq.SLUG, "bad-config-value"),
    "aqlm": (aqlm.SLUG, "missing-tensor"),
    "vptq": (vptq.SLUG, "bad-config-value"),
}


def refusals() -> Iterator[tuple[str, Refusal]]:
    """All of them, with the slug of the format whose readers are asked."""
    # A method that is not decoded is refused by name, whatever the tensors look like: the commonest ones do.
    tensors = next(refusal.tensors for refusal in gptq.refusals())
    for method in FOREIGN_METHODS:
        slug, code = DECODED.get(method, (gptq.SLUG, "unsupported-method"))
        flags = frozenset({slug})
        yield gptq.SLUG, Refusal(f"method-{method}", {"quant_method": method}, tensors, code, flags=flags)
    for format in FORMATS.values():
        yield from ((format.SLUG, refusal) for refusal in format.refusals())


def unreadable() -> Iterator[Case]:
    """The same as cases."""
    for slug, refusal in refusals():
        yield Case(refusal.id, partial(_declined, refusal), slug, "refusals")


def _declined(refusal: Refusal, subject: Subject, _: Subject) -> Verdict:
    return declined(decode(subject, refusal.config, refusal.tensors), refusal.code)
