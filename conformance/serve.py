"""Lets a Python loader answer the protocol from a process of its own: ``python -m conformance.serve NAME``.

NAME is what ``--subject`` takes. Only numpy and safetensors are needed besides what the loader itself imports, so the
loader's environment need not have what the suite has.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .bits.array import Array
from .bits.frameworks import from_framework, to_framework
from .bits.safetensors_file import read_safetensors, write_safetensors
from .subjects.ask import decode, load, single_threaded
from .subjects.probe import Module, probe
from .subjects.program import PROTOCOL
from .subjects.resolve import resolve
from .subjects.subject import Crashed, Model, Refused
from .subjects.surroundings import placed

Answer = tuple[dict[str, Any], dict[str, Array] | None]


def main(arguments: list[str]) -> int:
    # Some loaders print, and some read: neither may touch the questions and the answers.
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    if len(arguments) != 1:
        print("usage: python -m conformance.serve py:package.module:object", file=sys.stderr)
        return 2
    try:
        served = Served(resolve(arguments[0]))
    except (Exception, SystemExit) as error:  # a module may do anything when it is imported
        print(f"serve: {error!r}" if isinstance(error, SystemExit) else f"serve: {error}", file=sys.stderr)
        return 2
    for line in questions:
        request = json.loads(line)
        if request["do"] == "stop":
            break
        answers.write(json.dumps({"seq": request["seq"], **served.answered(request)}, default=str) + "\n")
        answers.flush()
    return 0


class Served:
    """A subject, and what it has opened or loaded."""

    def __init__(self, subject: Any) -> None:
        self._subject = subject
        self._model: Model | None = None
        self._opened: Mapping[str, Any] = {}
        self._do: dict[str, Callable[[Mapping[str, Any]], Answer]] = {
            "info": self._info,
            "dequantize": self._dequantize,
            "to_affine": self._to_affine,
            "load": self._load,
            "run": self._run,
            "open": self._open,
            "item": self._item,
            "probe": self._probe,
        }
        if subject.framework == "torch":
            single_threaded()

    def answered(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What the subject makes of one request, without its ``seq``."""
        try:
            facts, tensors = self._do[request["do"]](request)
            if tensors is not None:
                Path(request["output"]).write_bytes(write_safetensors(tensors))
            return {"ok": facts}
        except self._subject.refusals as error:
            code = getattr(error, "code", None)
            return {"refused": str(error) or repr(error)} | ({"code": code} if isinstance(code, str) else {})
        except (Exception, SystemExit) as error:  # the next question may go better
            traceback.print_exception(error)
            return {"error": repr(error)}

    def _info(self, request: Mapping[str, Any]) -> Answer:
        if request["protocol"] != PROTOCOL:
            raise ValueError(f"speaks protocol {PROTOCOL}")
        subject, said = self._subject, self._subject.info()
        if not isinstance(said, dict):
            raise TypeError(f"info() returns {type(said).__name__}, not a dict")
        abilities = {"decodes": "dequantize", "loads": "load", "repacks": "to_affine", "opens": "open"}
        able = {key: hasattr(subject, name) for key, name in abilities.items()}
        able["probes"] = able["decodes"]
        # A program must say its version; of a Python subject it may be missing.
        return {"version": "not said"} | said | able | {"protocol": PROTOCOL, "name": subject.name}, None

    def _dequantize(self, request: Mapping[str, Any]) -> Answer:
        outcome = decode(self._subject, request["config"], _given(request), request["dtype"])
        if isinstance(outcome, Refused | Crashed):
            raise outcome.error
        return {}, {"weight": outcome}

    def _to_affine(self, request: Mapping[str, Any]) -> Answer:
        framework = self._subject.framework
        given = {name: to_framework(array, framework) for name, array in _given(request).items()}
        form = self._subject.to_affine(request["config"], given)
        names = ("weight", "scales", "biases", "permutation", "group_size", "bits")
        parts = {name: form.get(name) if isinstance(form, Mapping) else getattr(form, name, None) for name in names}
        facts = {name: int(value) for name in names[4:] if (value := parts[name]) is not None}
        tensors = {name: value for name in names[:4] if (value := parts[name]) is not None}
        return {"bits": 4} | facts, {name: from_framework(value, framework) for name, value in tensors.items()}

    def _load(self, request: Mapping[str, Any]) -> Answer:
        self._model = None
        with placed(*(Path(request[key]) for key in ("scratch", "home", "directory"))):
            found = load(self._subject, Path(request["checkpoint"]))
        if isinstance(found, Model):
            self._model = found
            return {"model": True}, {}
        return {}, found

    def _run(self, request: Mapping[str, Any]) -> Answer:
        if self._model is None:
            raise RuntimeError("no model is loaded: the process that had it ended")
        (tokens,) = _given(request)["tokens"].bits.tolist()
        return {}, {"logits": Array.of(self._model(tokens)[None])}

    def _open(self, request: Mapping[str, Any]) -> Answer:
        self._opened = self._subject.open(Path(request["checkpoint"]))
        return {"names": list(self._opened)}, None

    def _item(self, request: Mapping[str, Any]) -> Answer:
        return {}, {"weight": from_framework(self._opened[request["name"]], self._subject.framework)}

    def _probe(self, request: Mapping[str, Any]) -> Answer:
        modules: list[Module] = [(config, {}) for config in request["configs"]]
        for name, array in _given(request).items():
            number, _, leaf = name.partition("/")
            modules[int(number)][1][leaf] = array
        answers, complaints = probe(self._subject, request["kind"], modules)
        return {"complaints": complaints}, {str(number): answer for number, answer in enumerate(answers)}


def _given(request: Mapping[str, Any]) -> dict[str, Array]:
    return read_safetensors(Path(request["tensors"]).read_bytes())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
