"""What a CPU is asked to do beside NumPy: ``cpu.cpp``, compiled where there is a C++ compiler, and kept for the next
process.

Without a compiler, or with ``MLX_QUANT_KERNELS=0``, NumPy does the same, bit for bit. Everything here works on memory
that :mod:`.host` gives, on any thread, and leaves Python's lock to others meanwhile.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import platformdirs

_log = logging.getLogger("mlx_quant")

# 0 asks for NumPy, and on a GPU for MLX's own operations; else kernels are used where they work, which is tried once.
SWITCH = "MLX_QUANT_KERNELS"
# Compiling takes a second, once on a machine: for work on so many bytes. What was compiled before serves all.
WORTH = 1 << 20

_SOURCE = Path(__file__).with_name("cpu.cpp")
# Whatever compiler takes them gives the same bits: no step of a formula may be fused with the next.
_OPTIONS = ("-std=c++17", "-O3", "-ffp-contract=off", "-fPIC", "-shared", "-w")
_PATIENCE_S = 60
_DTYPES = {mx.float16: 0, mx.bfloat16: 1, mx.float32: 2}

_SIZE, _INT, _AT = ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p
_ARGUMENTS = {
    "turn_words": (_AT, _SIZE, _SIZE, _SIZE, _AT, _INT),
    "turn_nibbles": (_AT, _SIZE, _SIZE, _SIZE, _AT, _AT, _INT),
    "unpack": (_AT, _SIZE, _SIZE, _INT, _SIZE, _AT),
    "pack": (_AT, _SIZE, _INT, _AT),
    "reorder": (_AT, _SIZE, _SIZE, _AT, _AT),
    "look_up": (_AT, _SIZE, _INT, _SIZE, _SIZE, _AT, _SIZE, _SIZE, _SIZE, _AT, _SIZE, _SIZE, _INT, _AT),
    "list_products": (_AT, _INT, _SIZE, _AT, _SIZE, _SIZE, _SIZE, _INT, _INT, _AT),
    "list_parameters": (_AT, _INT, _SIZE, _AT, _SIZE, _SIZE, _SIZE, _SIZE, _INT, _AT),
}


class Kernels:
    """The functions of ``cpu.cpp`` on NumPy's arrays; results are written into memory that is given, row after row.

    Bits of floats are uint16 or uint32; ``dtype`` and ``stored`` say of which.
    """

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        self._functions: dict[str, Callable[..., None]] = {}
        for name, arguments in _ARGUMENTS.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, None
            self._functions[name] = function

    def turn_words(self, words: np.ndarray, memory: np.ndarray, *, cold: bool = False) -> None:
        """uint32 [n, rows] to [rows, n]; ``cold``: nobody reads it soon, so that it need not lie in a cache."""
        words = _in_rows(words)
        _agree(memory, words.shape[::-1])
        self._functions["turn_words"](_at(words), _row(words), *words.shape, _at(memory), cold)

    def turn_nibbles(
        self, words: np.ndarray, order: tuple[int, ...], memory: np.ndarray, *, cold: bool = False
    ) -> None:
        """uint32 [8 * n, columns], of which nibble ``i`` is output ``order[i]`` of eight, to [8 * columns, n]; ``cold``
        as for :meth:`turn_words`."""
        words, outputs = _in_rows(words), np.array(order, np.int32)
        count, columns = len(words) // 8, words.shape[1]
        _agree(memory, (8 * columns, count))
        self._functions["turn_nibbles"](_at(words), _row(words), count, columns, _at(outputs), _at(memory), cold)

    def unpack(self, octets: np.ndarray, bits: int, memory: np.ndarray) -> None:
        """The first fields of rows of bytes [rows, n], lowest first, to uint8 [rows, count]; n bytes must hold them."""
        octets, (rows, count) = _in_rows(octets), memory.shape
        _agree(memory, (len(octets), min(count, octets.shape[1] * 8 // bits)))
        self._functions["unpack"](_at(octets), _row(octets), rows, bits, count, _at(memory))

    def pack(self, codes: np.ndarray, bits: int, memory: np.ndarray) -> None:
        """Inverse of :meth:`unpack`: uint8 codes, a multiple of eight in all, in order."""
        codes = np.ascontiguousarray(codes)
        _agree(memory, (*codes.shape[:-1], codes.shape[-1] * bits // 32))
        self._functions["pack"](_at(codes), codes.size // 8, bits, _at(memory))

    def reorder(self, codes: np.ndarray, order: np.ndarray, memory: np.ndarray) -> None:
        """Columns ``order``, int32, of uint8 [rows, columns]."""
        codes, order = np.ascontiguousarray(codes), np.ascontiguousarray(order)
        _agree(memory, (len(codes), codes.shape[1]))
        _agree(order, (codes.shape[1],))
        self._functions["reorder"](_at(codes), *codes.shape, _at(order), _at(memory))

    def look_up(
        self,
        octets: np.ndarray,
        bits: int,
        lists: np.ndarray,
        memory: np.ndarray,
        *,
        height: int,
        above: int,
        first: np.ndarray,
        run: int,
        levels: int,
    ) -> None:
        """Codes, fields of rows of bytes [rows, n], looked up into [rows, columns]: those of row ``r`` in the row
        ``(r + above) // height`` of lists [..., width], where each run of columns has the ``levels`` numbers from its
        ``first``, uint32, on. A code beyond its list means its last number.
        """
        octets, lists, first = _in_rows(octets), np.ascontiguousarray(lists), np.ascontiguousarray(first)
        rows, columns = memory.shape
        _agree(memory, (len(octets), min(columns, octets.shape[1] * 8 // bits)))
        _agree(first, (-(-columns // run),))
        _agree(lists, (-(-(rows + above) // height), lists.shape[1]))
        lie = lists.shape[1], height, above, _at(first), run, levels, memory.itemsize
        self._functions["look_up"](_at(octets), _row(octets), bits, rows, columns, _at(lists), *lie, _at(memory))

    def list_products(
        self, scales: np.ndarray, stored: mx.Dtype, zeros: np.ndarray, bits: int, dtype: mx.Dtype, memory: np.ndarray
    ) -> None:
        """``RN(s * (q - z))`` of every code: scales and uint8 zeros [groups, rows] to [rows, groups << bits]. Products
        must be exact in float32, or ``dtype`` that."""
        scales, zeros = _in_rows(scales), _in_rows(zeros)
        _agree(zeros, scales.shape)
        _agree(memory, (scales.shape[1], len(scales) << bits))
        lie = _at(scales), _DTYPES[stored], _row(scales), _at(zeros), _row(zeros), *scales.shape
        self._functions["list_products"](*lie, bits, _DTYPES[dtype], _at(memory))

    def list_parameters(
        self, scales: np.ndarray, stored: mx.Dtype, zeros: np.ndarray | None, dtype: mx.Dtype, memory: np.ndarray
    ) -> None:
        """Scales, or beside zeros ``RN(-z * s)``, [groups, rows], to [rows, groups * n], each repeated."""
        (groups, rows), scales = scales.shape, _in_rows(scales)
        zeros = None if zeros is None else _in_rows(zeros)
        _agree(memory, (rows, memory.shape[1] // groups * groups))
        points = (0, 0) if zeros is None else (_at(zeros), _row(zeros))
        lie = _at(scales), _DTYPES[stored], _row(scales), *points, groups, rows, memory.shape[1] // groups
        self._functions["list_parameters"](*lie, _DTYPES[dtype], _at(memory))


@dataclass
class _Search:
    """What is known of this machine."""

    found: Kernels | None = None
    looked: bool = False
    compiled: bool = False


_search, _lock = _Search(), threading.Lock()


def kernels(nbytes: int = 0) -> Kernels | None:
    """The kernels of this machine, for work on so many bytes; None where NumPy has to do."""
    with _lock:
        if _search.found is None and not _search.looked:
            _search.looked = True
            if os.environ.get(SWITCH) == "0" or sys.byteorder != "little":
                _search.compiled = True  # nor is anything to be compiled
            elif _ours(_folder()) and _ours(_folder() / _name()):
                _search.found = _loaded(_folder() / _name())
        if _search.found is None and not _search.compiled and nbytes >= WORTH:
            _search.compiled = True
            _search.found = _compiled()
        return _search.found


@contextlib.contextmanager
def without() -> Iterator[None]:
    """Let NumPy do everything meanwhile, on all threads."""
    global _search
    found, _search = _search, _Search(looked=True, compiled=True)
    try:
        yield
    finally:
        _search = found


def _compiled() -> Kernels | None:
    """Kernels that are compiled now, and kept where nobody else can write, if there is such a place."""
    if (compiler := _compiler()) is None:
        return None
    folder = _folder()
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = _ours(folder) and os.access(folder, os.W_OK)
    try:
        with tempfile.TemporaryDirectory(dir=folder if kept else None, prefix="new-") as apart:
            made = Path(apart) / _name()
            command = [*compiler, *_OPTIONS, *_machine()[1], str(_SOURCE), "-o", str(made)]
            subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE_S, stdin=subprocess.DEVNULL)
            made.chmod(0o700)  # whatever files are made with here
            # Whole or absent for whoever looks meanwhile.
            return _loaded(made.rename(folder / made.name) if kept else made)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or b""
        _log.info("no kernels for this CPU, NumPy decodes: %s %s", error, said.decode(errors="replace")[-500:])
        return None


def _loaded(path: Path) -> Kernels | None:
    """The kernels of a file, if they do what they should."""
    try:
        found = Kernels(path)
        words = np.arange(17 * 35, dtype=np.uint32).reshape(17, 35)
        turned = np.empty((35, 17), np.uint32)
        found.turn_words(words, turned)
        scales, zeros = np.array([[1.5], [-2.5]], np.float32), np.array([[3], [9]], np.uint8)
        products = np.empty((1, 32), np.uint32)
        found.list_products(scales, mx.float32, zeros, 4, mx.float32, products)
        wanted = scales * (np.arange(16, dtype=np.float32) - zeros)
        right = np.array_equal(turned, words.T) and np.array_equal(products.view(np.float32), wanted.reshape(1, -1))
    except (OSError, AttributeError) as error:
        _log.warning("kernels for this CPU cannot be loaded, NumPy decodes: %s", error)
        return None
    if not right:
        _log.warning("kernels for this CPU, compiled into %s, do not work here; NumPy decodes", path)
    return found if right else None


def _folder() -> Path:
    return platformdirs.user_cache_path("mlx-quant", appauthor=False) / "kernels"


@cache
def _name() -> str:
    machine, options = _machine()
    said = [_SOURCE.read_bytes(), *(option.encode() for option in (*_OPTIONS, *options))]
    return f"cpu-{machine}-{hashlib.sha256(b' '.join(said)).hexdigest()[:16]}.so"


@cache
def _machine() -> tuple[str, tuple[str, ...]]:
    """What is compiled for, and the options that say so; a folder of caches may be shared by machines that differ."""
    machine = f"{platform.system()}-{platform.machine()}".lower()
    try:
        can = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        can = []
    return machine, ("-mavx2",) if "avx2" in can and platform.machine() == "x86_64" else ()


def _ours(path: Path) -> bool:
    """Whether nobody else could have written there."""
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return False
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _compiler() -> list[str] | None:
    """``$CXX``, which may have arguments, or what is usual."""
    try:
        named = shlex.split(os.environ.get("CXX", ""))
    except ValueError:
        return None
    wanted = [named] if named else [["c++"], ["g++"], ["clang++"]]
    found = next((command for command in wanted if shutil.which(command[0])), None)
    if found is not None and platform.system() == "Darwin":
        # Without Apple's tools c++ is a program that asks, in a window, whether to install them.
        tools = subprocess.run(["xcode-select", "-p"], capture_output=True, check=False)
        return found if tools.returncode == 0 else None
    return found


def _agree(array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Kernels look at nothing: what does not fit would be written beyond its memory."""
    if array.shape != shape:
        raise ValueError(f"an array of {array.shape} where {shape} is written or read")


def _at(array: np.ndarray) -> int:
    place: Any = array.__array_interface__["data"][0]
    return int(place)


def _in_rows(array: np.ndarray) -> np.ndarray:
    """The same, if the numbers of a row are neighbours; else a copy of which that is true."""
    return array if array.strides[-1] == array.itemsize else np.ascontiguousarray(array)


def _row(array: np.ndarray) -> int:
    """Numbers from one row to the next."""
    return array.strides[0] // array.itemsize
