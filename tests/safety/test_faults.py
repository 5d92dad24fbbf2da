"""The destination and what lies beside it, whatever fails, whoever else writes there, whatever was planted."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlx_quant import ConversionError, MalformedCheckpoint, QuantError, convert
from mlx_quant.conversion.output import atomic_folder, clear_leftovers
from mlx_quant.files.faults import of_mlx, of_system
from tests.conftest import environment
from tests.safety import faults, tiny
from tests.safety.points import Rules

LINUX = sys.platform == "linux"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tiny.write(tmp_path / "source", tiny.files("gptq"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(code: str, action: Callable[[], Any]) -> QuantError:
    with pytest.raises(QuantError) as caught:
        action()
    assert caught.value.code == code
    return caught.value


def printed(code: str, *arguments: object) -> str:
    """What a process of this Python prints that runs ``code``."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True, timeout=300, check=True).stdout


@pytest.mark.skipif(not LINUX, reason="the shim is of Linux's C library")
def test_a_sample_of_system_calls_fails_once_each(tmp_path: Path) -> None:
    """One fault in some hundreds; ``python tests/safety/faults.py`` tries them all."""
    done = faults.preloaded(["--every", "199", "--json", str(tmp_path / "f.json")], faults.compiled(tmp_path))
    assert done.returncode == 0
    tried = json.loads((tmp_path / "f.json").read_text())
    assert len(tried["outcomes"]) == -(-tried["points"] // 199) > 15
    assert {outcome["scenario"] for outcome in tried["outcomes"]} == set(tried["calls"])


def test_equal_faults_are_left_out_by_rule() -> None:
    source = "/z/source"
    calls = [
        ("open", f"{source}/a"),
        *[("read", f"{source}/a")] * 4,
        ("write", "/z/p"),
        ("write", "/z/p"),
        ("stat", "/z/p"),
    ]
    rules = Rules(calls, source)
    tried: dict[int, list[str]] = {}
    for point in rules.points():
        tried.setdefault(point.number, []).append(point.fault)
    assert tried == {
        1: ["EIO", "EACCES", "EINTR", "SIGTERM", "SIGHUP", "SIGKILL"],
        2: ["EIO", "EINTR", "SIGTERM"],
        5: ["EIO", "EINTR", "SIGTERM"],
        6: ["ENOSPC", "EIO", "EINTR", "SIGTERM"],
        7: ["ENOSPC", "EIO", "EINTR", "SIGTERM", "SIGHUP", "SIGKILL"],
        8: ["EIO", "EACCES", "SIGTERM", "SIGHUP", "SIGKILL"],
    }
    assert sum(map(len, tried.values())) + sum(rules.skipped.values()) == len(calls) * 7


@pytest.mark.skipif(not LINUX, reason="the shim is of Linux's C library")
def test_a_rename_promises_what_is_on_the_disk(tmp_path: Path) -> None:
    done = faults.preloaded(["--synced"], faults.compiled(tmp_path))
    assert done.returncode == 0


def test_what_was_not_synced_is_noticed() -> None:
    partial = "/z/.out.partial-0a1b2c3d"
    calls = [("write", f"{partial}/a"), ("fsync", f"{partial}/a"), ("write", f"{partial}/b"), ("rename", partial)]
    assert faults.unsynced(calls) == [partial, f"{partial}/b", "/z"]


@pytest.mark.parametrize("writers", [2, 10])
def test_many_at_once_have_one_winner(source: Path, place: Path, writers: int) -> None:
    """The others are told that it is busy, or that it exists; nobody leaves anything, and nobody waits for ever."""
    code = (
        "import os, sys, time, mlx_lm.utils, mlx_lm.models.llama, mlx_quant\n"
        "pids = []\n"
        "start = time.time() + 1\n"
        "for _ in range(int(sys.argv[3])):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        time.sleep(max(0, start - time.time()))\n"
        "        try:\n"
        "            mlx_quant.convert(sys.argv[1], sys.argv[2], progress=False)\n"
        "        except mlx_quant.ConversionError as error:\n"
        "            os._exit({'destination-busy': 3, 'destination-exists': 4}.get(error.code, 5))\n"
        "        os._exit(0)\n"
        "    pids.append(pid)\n"
        "print(*sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids))\n"
    )
    statuses = [int(word) for word in printed(code, source, place / "out", writers).split()]
    assert statuses.count(0) == 1
    assert set(statuses) <= {0, 3, 4}
    assert names(place) == ["out"]


def test_what_was_planted_beside_the_destination_stays(source: Path, place: Path, tmp_path: Path) -> None:
    """A pipe would be waited for, a link followed, a folder of that name in the place of ours believed."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    for purpose in ("partial", "replaced"):
        os.mkfifo(place / f".out.{purpose}-00000001")
        (place / f".out.{purpose}-00000002").symlink_to(precious)
        (place / f".out.{purpose}-00000003").write_text("mine")
        (place / f".out.{purpose}-notes").mkdir()
        (place / f".out.{purpose}-000000045").mkdir()
    planted = names(place)
    clear_leftovers(place / "out")
    convert(source, place / "out", progress=False)
    assert names(place) == sorted([*planted, "out"])
    assert (precious / "file").read_text() == "mine"


@pytest.mark.parametrize("kind", ["file", "pipe", "loop", "dangling"])
def test_a_destination_that_is_no_folder(source: Path, place: Path, kind: str) -> None:
    out = place / "out"
    if kind == "file":
        out.write_text("mine")
    elif kind == "pipe":
        os.mkfifo(out)
    elif kind == "loop":
        out.symlink_to(out)
    else:
        out.symlink_to(place / "nowhere")
    refused("destination-exists", lambda: convert(source, out, progress=False, overwrite=True))
    assert names(place) == ["out"]


@pytest.mark.parametrize("name", ["n" * 255, "n" * 240, "ü" * 120, "n" * 1000, "a\0b", "n" * 200 + "/" + "m" * 300])
def test_a_name_that_cannot_be(source: Path, place: Path, name: str) -> None:
    refused("bad-target", lambda: convert(source, place / name, progress=False))
    assert names(place) == []


def test_the_longest_name_that_can_be(source: Path, place: Path) -> None:
    convert(source, place / ("n" * 235), progress=False)
    assert names(place) == ["n" * 235]


def test_a_mount_point_cannot_be_replaced(source: Path) -> None:
    error = refused("bad-target", lambda: convert(source, "/proc", progress=False, overwrite=True))
    assert "inside" in error.message


def test_an_exchange_that_fails_half_way_is_undone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "out").mkdir()
    (place / "out" / "precious").write_text("mine")
    replace, calls = os.replace, []

    def failing(*paths: Any) -> None:
        calls.append(paths)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error", str(paths[0]))
        replace(*paths)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="Input"), atomic_folder(place / "out", overwrite=True) as folder:
        (folder / "new").write_text("new")
    assert names(place) == ["out"]
    assert names(place / "out") == ["precious"]


@pytest.mark.parametrize(("rename", "kept"), [(1, ["precious"]), (2, ["new"])])
def test_a_signal_as_a_rename_is_done_leaves_one_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch, rename: int, kept: list[str]
) -> None:
    (place / "out").mkdir()
    (place / "out" / "precious").write_text("mine")
    replace, calls = os.replace, []

    def interrupted(*paths: Any) -> None:
        calls.append(paths)
        replace(*paths)
        if len(calls) == rename:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), atomic_folder(place / "out", overwrite=True) as folder:
        (folder / "new").write_text("new")
    assert names(place) == ["out"]
    assert names(place / "out") == kept


@pytest.mark.parametrize("limit", [1000, 20_000, 60_000])
def test_a_limit_on_the_size_of_files(source: Path, place: Path, limit: int) -> None:
    code = (
        "import resource, signal, sys, mlx_quant\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)\n"
        "try:\n"
        "    mlx_quant.convert(sys.argv[1], sys.argv[2], progress=False)\n"
        "except mlx_quant.QuantError as error:\n"
        "    print(error.code)\n"
    )
    assert printed(code, source, place / "out", limit) in ("no-space\n", "write-failed\n")
    assert names(place) == []


# Root reads and writes whatever the modes say, until it gives up its capabilities.
UNPRIVILEGED = (
    "import ctypes, os, sys, mlx_quant\n"
    "if os.geteuid() == 0:\n"
    "    none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()\n"
    "    assert ctypes.CDLL(None).capset(*none) == 0\n"
    "try:\n"
    "    mlx_quant.convert(sys.argv[1], sys.argv[2], progress=False, overwrite=True)\n"
    "    print('done')\n"
    "except mlx_quant.QuantError as error:\n"
    "    print(error.code)\n"
)


@pytest.mark.skipif(not LINUX, reason="capabilities are Linux's")
@pytest.mark.parametrize(
    ("name", "mode", "code"),
    [
        ("source/config.json", 0o000, "unreadable-file"),
        ("source/model.safetensors.index.json", 0o000, "unreadable-file"),
        ("source/model-00001-of-00002.safetensors", 0o000, "unreadable-file"),
        ("source/tokenizer.json", 0o200, "unreadable-file"),
        ("source", 0o000, "unreadable-file"),
        ("place", 0o555, "write-failed"),
        ("place", 0o000, "write-failed"),
    ],
)
def test_what_may_not_be_read_or_written(
    source: Path, place: Path, tmp_path: Path, name: str, mode: int, code: str
) -> None:
    (tmp_path / name).chmod(mode)
    try:
        assert printed(UNPRIVILEGED, source, place / "out") == f"{code}\n"
    finally:
        (tmp_path / name).chmod(0o755)
    assert names(place) == []


@pytest.mark.skipif(not LINUX, reason="capabilities are Linux's")
def test_a_source_that_may_only_be_read_is_enough(source: Path, place: Path) -> None:
    """And what is made of it can be replaced and removed by its owner, whatever the modes of the source."""
    for path in source.iterdir():
        path.chmod(0o444)
    source.chmod(0o555)
    for _ in range(2):
        assert printed(UNPRIVILEGED, source, place / "out") == "done\n"
    assert names(place) == ["out"]
    assert all(path.stat().st_mode & 0o200 for path in (place / "out").iterdir())


def test_a_limit_on_descriptors(source: Path, place: Path) -> None:
    """mlx-lm raises it as it is imported; where it may not, nothing is converted without being held to its model."""
    code = (
        "import resource, sys, mlx_quant\n"
        "def forbidden(*_):\n"
        "    raise ValueError('not allowed to raise maximum limit')\n"
        "resource.setrlimit = forbidden\n"
        "for use in (lambda: mlx_quant.load(sys.argv[1]), lambda: mlx_quant.convert(*sys.argv[1:], progress=False)):\n"
        "    try:\n"
        "        use()\n"
        "    except mlx_quant.QuantError as error:\n"
        "        print(error.code)\n"
    )
    assert printed(code, source, place / "out") == "missing-dependency\n" * 2
    assert names(place) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_is_told_from_forbidden(number: int) -> None:
    assert of_system(OSError(number, "x", b"/a\xff")).code == "no-space"
    assert of_system(OSError(errno.EROFS, "x", "/a")).code == "write-failed"


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("[read] Unable to read from file.", MalformedCheckpoint, "unreadable-file"),
        ("[load_safetensors] Failed to open x", MalformedCheckpoint, "unreadable-file"),
        ("[write] Unable to write 5 bytes to file.", ConversionError, "write-failed"),
        ("[malloc] Unable to allocate 5 bytes.", ConversionError, "no-memory"),
    ],
)
def test_what_mlx_says_of_files_and_memory(text: str, kind: type[QuantError], code: str) -> None:
    error = of_mlx(RuntimeError(text))
    assert (type(error), error and error.code) == (kind, code)
    assert of_mlx(RuntimeError("[matmul] shapes")) is None
