"""What the system, or MLX, says when a disk fails: as a refusal that names the file and what to do."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from ..errors import ConversionError, MalformedCheckpoint, QuantError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# MLX names the operation that failed in brackets, and raises RuntimeError for all of them.
_OPERATION = re.compile(r"\[(load|read|save|write|malloc|metal::malloc)\w*\]")


def typed(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """``function``, whose failures of disk and memory are QuantErrors.

    Raises:
        MalformedCheckpoint: ``unreadable-file``, for what MLX could not read.
        ConversionError: ``no-space``, ``write-failed``, ``no-memory``.
    """

    @wraps(function)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except OSError as error:
            raise of_system(error) from error
        except MemoryError as error:
            raise ConversionError("no-memory", "out of memory; close something, or use another machine") from error
        except RuntimeError as error:
            if refusal := of_mlx(error):
                raise refusal from error
            raise

    return guarded


def of_system(error: OSError) -> QuantError:
    """A failed write, full disks apart from all others."""
    name = error.filename if error.filename is not None else error.filename2
    where = None if name is None else os.fsdecode(name) if isinstance(name, (str, bytes)) else f"descriptor {name}"
    if error.errno in _FULL:
        return ConversionError("no-space", f"{error.strerror}; free some, or write to another disk", where=where)
    text = f"cannot be written ({error.strerror or error}); check its permissions and the disk, then try again"
    return ConversionError("write-failed", text, where=where)


def of_mlx(error: RuntimeError) -> QuantError | None:
    """What MLX says of a file or of memory; None for whatever else it says."""
    found = _OPERATION.match(str(error))
    if found is None:
        return None
    if found[1] in ("load", "read"):
        text = f"cannot be read ({error}); it changed or its disk failed meanwhile: try again, or download it again"
        return MalformedCheckpoint("unreadable-file", text)
    if found[1] in ("save", "write"):
        return ConversionError("write-failed", f"{error}; the disk is full, or failed: free some, or use another")
    return ConversionError("no-memory", f"{error}; close something, or use another machine")
