"""The table of a survey: a Parquet file, a row a repo, which is there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from .asking import Row
from .listing import SurveyError
from .spread import INSTALL
from .verdicts import Reports, silently_wrong

_ROWS = 10_000
_TEXTS = (
    "repo revision commit outcome code message where family model_type architecture producer producer_version layout"
)
_NUMBERS = "files weight_bytes modules tensors shards requests received"
_LISTS = {"packings": "text", "dtypes": "text", "bits": "number", "group_sizes": "number"}


def write(file: Path, rows: Iterable[Row], reports: Reports | None, about: Mapping[str, str]) -> int:
    """Write the rows, each with what ``reports`` say of it; ``about`` goes into the file's metadata. Returns how many.

    SurveyError without PyArrow.
    """
    pyarrow, parquet = library()
    schema = _schema(pyarrow).with_metadata({f"mlx-quant.{name}": value for name, value in about.items()})
    draft = file.with_name(f".{file.name}.part")
    count = 0
    try:
        with parquet.ParquetWriter(draft, schema, compression="zstd") as writer:
            for batch in _batches(rows):
                told = [_told(row, reports) for row in batch]
                writer.write_table(pyarrow.Table.from_pylist(told, schema=schema))
                count += len(told)
        with open(draft, "rb") as written:
            os.fsync(written.fileno())
        os.replace(draft, file)
    except OSError as error:
        raise SurveyError(f"{file}: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return count


def library() -> tuple[Any, Any]:
    """PyArrow, and its room for Parquet; SurveyError where it is not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise SurveyError(f"the table needs PyArrow: {INSTALL} ({error})") from error
    return pyarrow, parquet


def _schema(pyarrow: Any) -> Any:
    text, number = pyarrow.string(), pyarrow.int64()
    types = {"text": text, "number": number}
    kind = pyarrow.struct([("format", text), ("flags", pyarrow.list_(text)), ("modules", number)])
    verdict = [("loader", text), ("gives", text), ("word", text), ("cases", number), ("of", number)]
    verdict.append(("exact", pyarrow.bool_()))
    columns = [(name, text) for name in _TEXTS.split()]
    columns += [(name, pyarrow.list_(types[type])) for name, type in _LISTS.items()]
    columns += [("sym", pyarrow.bool_()), ("act_order", pyarrow.bool_())]
    columns += [(name, number) for name in _NUMBERS.split()]
    columns += [("kinds", pyarrow.list_(kind)), ("misread_in_silence_by", pyarrow.list_(text))]
    columns += [("loaders", pyarrow.list_(pyarrow.struct(verdict))), ("seconds", pyarrow.float64())]
    return pyarrow.schema(columns)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    left = iter(rows)
    while batch := list(islice(left, _ROWS)):
        yield batch


def _told(row: Row, reports: Reports | None) -> Row:
    """A row in the types of the schema; a value of another type is none."""
    found: Row = {name: _string(row.get(name)) for name in _TEXTS.split()}
    found |= {name: _integer(row.get(name)) for name in _NUMBERS.split()}
    found |= {name: _list(row.get(name), _string if type == "text" else _integer) for name, type in _LISTS.items()}
    found |= {name: value if isinstance(value := row.get(name), bool) else None for name in ("sym", "act_order")}
    found["seconds"] = float(row.get("seconds") or 0)
    kinds = row.get("kinds")
    if kinds is None:
        return found
    found["kinds"] = kinds
    if reports is not None:
        verdicts = reports.of(kinds)
        found["misread_in_silence_by"] = silently_wrong(verdicts)
        found["loaders"] = [asdict(verdict) for verdict in verdicts]
    return found


def _string(value: Any) -> str | None:
    """Names come from anywhere, and half a character cannot be written."""
    return None if value is None else str(value).encode("utf-8", "backslashreplace").decode()


def _integer(value: Any) -> int | None:
    return value if type(value) is int and abs(value) < 2**63 else None


def _list(values: Any, one: Any) -> list[Any] | None:
    return None if values is None else [one(value) for value in values]
