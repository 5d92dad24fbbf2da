"""Lets a Python loader answer the protocol from an environment of its own: ``python -m conformance.serve NAME``.

NAME is what ``--subject`` takes. Only numpy and safetensors are needed besides what the loader itself imports, so the
loader's environment need not have what the suite has.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .bits.array import Array
from .bits.frameworks import from_framework, to_framework
from .bits.safetensors_file import read_safetensors, write_safetensors
from .subjects.ask import decode
from .subjects.program import PROTOCOL
from .subjects.resolve import resolve
from .subjects.subject import Crashed, Refused, SubjectError


def main(arguments: list[str]) -> int:
    # Some loaders print; what they print must not land among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if len(arguments) != 1:
        print("usage: python -m conformance.serve py:package.module:object", file=sys.stderr)
        return 2
    try:
        subject = resolve(arguments[0])
    except SubjectError as error:
        print(f"serve: {error}", file=sys.stderr)
        return 2
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if request["do"] == "stop":
            break
        answers.write(json.dumps({"seq": request["seq"], **answered(subject, request)}, default=str) + "\n")
        answers.flush()
    return 0


def answered(subject: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """What the subject makes of one request, without its ``seq``."""
    try:
        if request["do"] == "info":
            if request["protocol"] != PROTOCOL:
                return {"error": f"speaks protocol {PROTOCOL}"}
            facts = {"decodes": hasattr(subject, "dequantize"), "loads": hasattr(subject, "load")} | subject.info()
            return {"ok": facts | {"protocol": PROTOCOL, "name": subject.name}}
        facts, tensors = _DO[request["do"]](subject, request)
        Path(request["output"]).write_bytes(write_safetensors(tensors))
        return {"ok": facts}
    except subject.refusals as error:
        code = getattr(error, "code", None)
        return {"refused": str(error) or repr(error)} | ({"code": code} if isinstance(code, str) else {})
    except Exception as error:  # the next question may go better
        traceback.print_exception(error)
        return {"error": repr(error)}


def _given(request: Mapping[str, Any]) -> dict[str, Array]:
    return read_safetensors(Path(request["tensors"]).read_bytes())


def _dequantize(subject: Any, request: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    outcome = decode(subject, request["config"], _given(request), request["dtype"])
    if isinstance(outcome, Refused | Crashed):
        raise outcome.error
    return {}, {"weight": outcome}


def _load(subject: Any, request: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    weights = subject.load(Path(request["checkpoint"]))
    if not isinstance(weights, Mapping):
        raise TypeError("load gives a model to run, and the protocol carries weights only")
    return {}, {name: from_framework(value, subject.framework) for name, value in weights.items()}


def _to_affine(subject: Any, request: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    given = {name: to_framework(array, subject.framework) for name, array in _given(request).items()}
    form = subject.to_affine(request["config"], given)
    names = ("weight", "scales", "biases", "permutation", "group_size", "bits")
    parts = {name: form.get(name) if isinstance(form, Mapping) else getattr(form, name, None) for name in names}
    facts = {name: int(value) for name in names[4:] if (value := parts[name]) is not None}
    tensors = {name: value for name in names[:4] if (value := parts[name]) is not None}
    return {"bits": 4} | facts, {name: from_framework(value, subject.framework) for name, value in tensors.items()}


_DO = {"dequantize": _dequantize, "load": _load, "to_affine": _to_affine}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
