"""JSON files at the door: bounded in size, depth and digits, and held to a schema of what is read from them."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError, best_match

from ..errors import MalformedCheckpoint

# Far above what is found on the Hub (a tokenizer.json of 40 MB, an index of 35 MB, configs nested eight deep).
MAX_BYTES = 128 << 20
MAX_CONFIG_BYTES = 16 << 20
MAX_DEPTH = 64
MAX_LAYERS = 4096

_SCHEMAS = {
    "config.json": "config",
    "generation_config.json": "generation_config",
    "tokenizer_config.json": "tokenizer_config",
    "quantize_config.json": "quantize_config",
    "quant_config.json": "quantize_config",
}
# What a schema says that a user can act on.
_TOLD = ("type", "minimum", "maximum", "maxItems", "maxLength", "pattern", "required")
_INDEX = ".safetensors.index.json"


def parse(data: bytes, name: str) -> dict[str, Any]:
    """The JSON object in ``data``, the content of the file ``name``.

    Raises MalformedCheckpoint: ``bad-file`` for anything but one JSON object of bounded depth that UTF-8 can write
    again, ``bad-config-value`` for a value of another type than the file's schema has.
    """
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError, MemoryError) as error:
        # ValueError is bad UTF-8, bad JSON, or a number of thousands of digits.
        raise MalformedCheckpoint("bad-file", f"not JSON ({error}); download it again", where=name) from error
    if not isinstance(value, dict):
        raise MalformedCheckpoint("bad-file", f"holds a JSON {type(value).__name__}, expected an object", where=name)
    _refuse_deep(value, name)
    check(value, schema_for(name), name)
    return value


def limit_of(name: str) -> int:
    """Bytes above which a file of this name is not read."""
    return MAX_CONFIG_BYTES if name in _SCHEMAS else MAX_BYTES


def schema_for(name: str) -> str | None:
    """The schema that a file of this name is held to, or None."""
    return "index" if name.endswith(_INDEX) else _SCHEMAS.get(name)


def check(value: Any, schema: str | None, name: str) -> None:
    """MalformedCheckpoint ``bad-config-value``, or ``bad-file`` for an index, for what ``schema`` does not allow."""
    if schema is None:
        return
    error = best_match(_validator(schema).iter_errors(value))
    if error is not None:
        code = "bad-file" if schema == "index" else "bad-config-value"
        raise MalformedCheckpoint(code, f"{_told(error)}; correct the file", where=_place(name, error))


def _told(error: ValidationError) -> str:
    found = repr(error.instance)
    found = found if len(found) <= 200 else f"{found[:200]}..."
    wanted = {key: error.schema[key] for key in _TOLD if key in error.schema}
    return f"is {found}, expected {json.dumps(wanted) if wanted else error.validator}"


def _place(name: str, error: ValidationError) -> str:
    path = ".".join(map(str, error.absolute_path))
    return f"{name}: {path}" if path else name


def _refuse_deep(value: dict[str, Any], name: str) -> None:
    """Depth and lone surrogates, walked without recursion."""
    pending: list[tuple[Any, int]] = [(value, 1)]
    while pending:
        part, depth = pending.pop()
        if isinstance(part, str):
            if not part.isascii() and any("\ud800" <= letter <= "\udfff" for letter in part):
                raise MalformedCheckpoint("bad-file", f"{part[:100]!r} is half a character; correct it", where=name)
        elif isinstance(part, (dict, list)):
            if depth > MAX_DEPTH:
                raise MalformedCheckpoint("bad-file", f"nested more than {MAX_DEPTH} deep; correct it", where=name)
            pending.extend((each, depth + 1) for each in (part.values() if isinstance(part, dict) else part))
            if isinstance(part, dict):
                pending.extend((key, depth) for key in part)


def _is_integer(_: object, value: object) -> bool:
    """JSON Schema takes 1.0 for an integer; Python's range does not."""
    return isinstance(value, int) and not isinstance(value, bool)


@cache
def _validator(schema: str) -> Draft202012Validator:
    text = (files(__package__) / "schemas" / f"{schema}.json").read_text(encoding="utf-8")
    found: Draft202012Validator = _class()(json.loads(text))
    return found


@cache
def _class() -> Any:
    """One for all schemas: jsonschema takes a millisecond to make it."""
    checker = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
    return validators.extend(Draft202012Validator, type_checker=checker)
