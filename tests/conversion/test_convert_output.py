"""The destination: whole or not there, whatever happens on the way, in bounded memory."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm
import numpy as np
import pytest
from safetensors.numpy import save_file

from mlx_quant import ConversionError, convert
from mlx_quant.conversion.output import ShardWriter, atomic_folder, clear_leftovers
from tests.conftest import environment, stored

ROOT = Path(__file__).parents[2]
PLAIN = "llama-gptq-g128-seq-asym"
Copy = Callable[..., Any]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(code: str, *args: Any, **options: Any) -> ConversionError:
    with pytest.raises(ConversionError) as caught:
        convert(*args, progress=False, **options)
    assert caught.value.code == code
    return caught.value


def fail_after(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Raise once the first shard is ended and the second is due."""
    original, calls = ShardWriter._end, []

    def write(self: ShardWriter) -> None:
        calls.append(self)
        if len(calls) > 1:
            raise error
        original(self)

    monkeypatch.setattr(ShardWriter, "_end", write)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("disk on fire")])
def test_an_interrupted_conversion_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    fail_after(monkeypatch, error)
    with pytest.raises(type(error)):
        convert(stored(PLAIN), tmp_path / "deep" / "er" / "out", max_shard_bytes=500_000, progress=False)
    assert names(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no disk that is always full")
def test_a_disk_that_fills_up_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that writes is told by the system, and the one that decodes raises it."""
    begin = ShardWriter._begin

    def begun(self: ShardWriter) -> None:
        begin(self)
        assert self._file is not None
        self._file.close()
        self._file = self._opened.enter_context(open("/dev/full", "wb", buffering=0))  # noqa: SIM115

    monkeypatch.setattr(ShardWriter, "_begin", begun)
    refusal = refused("no-space", stored(PLAIN), tmp_path / "out")
    assert refusal.where is not None
    assert refusal.where.startswith("model")
    assert names(tmp_path) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "mlx-quant-writer"]


def test_an_interrupted_overwrite_keeps_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    fail_after(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        convert(stored(PLAIN), tmp_path / "out", overwrite=True, max_shard_bytes=500_000, progress=False)
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["precious"]


def test_what_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refused("destination-exists", stored(PLAIN), tmp_path / "file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("x")
    refused("destination-exists", stored(PLAIN), tmp_path / "full")
    assert names(tmp_path / "full") == ["precious"]
    convert(stored(PLAIN), tmp_path / "full", overwrite=True, progress=False)
    assert "precious" not in names(tmp_path / "full")
    (tmp_path / "empty").mkdir()
    convert(stored(PLAIN), tmp_path / "empty", progress=False)
    assert names(tmp_path) == ["empty", "file", "full"]
    assert names(tmp_path / "empty") == names(tmp_path / "full")
    assert (tmp_path / "full").stat().st_mode & 0o777 == (tmp_path / "empty").stat().st_mode & 0o777


@pytest.mark.parametrize("place", [".", ".."])
def test_the_source_is_never_overwritten(copy: Copy, place: str) -> None:
    source = copy(PLAIN)
    before = names(source.path)
    refused("bad-target", source.path, source.path / place, overwrite=True)
    assert names(source.path) == before


def test_a_full_disk_is_noticed_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 10**6, 10**6))
    error = refused("no-space", stored(PLAIN), tmp_path / "deep" / "out")
    assert str(tmp_path) in str(error)
    assert names(tmp_path) == []


@pytest.mark.parametrize("options", [{"target": "gguf"}, {"dtype": "int4"}, {"params_dtype": "float64"}])
def test_options_that_do_not_exist(tmp_path: Path, options: Any) -> None:
    refused("bad-target", stored(PLAIN), tmp_path / "out", **options)


def test_two_writers_of_one_folder(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "out", overwrite=False) as folder:
        (folder / "busy").write_text("x")
        refused("destination-busy", stored(PLAIN), tmp_path / "out")
    assert names(tmp_path / "out") == ["busy"]


def test_a_kill_between_the_two_renames_is_undone(tmp_path: Path) -> None:
    (tmp_path / ".out.replaced-0a1b2c3d").mkdir()
    (tmp_path / ".out.replaced-0a1b2c3d" / "precious").write_text("x")
    (tmp_path / ".out.partial-0a1b2c3d").mkdir()
    (tmp_path / ".other.partial-0a1b2c3d").mkdir()
    clear_leftovers(tmp_path / "out")
    assert names(tmp_path) == [".other.partial-0a1b2c3d", "out"]
    assert names(tmp_path / "out") == ["precious"]


def run(code: str, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *args]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)


def test_a_killed_conversion_leaves_no_output_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    code = """
        import sys, time
        import mlx_quant
        from mlx_quant.conversion.output import ShardWriter
        write = ShardWriter._end
        def slow(self):
            write(self)
            print("written", flush=True)
            time.sleep(60)
        ShardWriter._end = slow
        mlx_quant.convert(sys.argv[1], sys.argv[2], max_shard_bytes=500_000, progress=False)
    """
    process = run(code, str(stored(PLAIN)), str(tmp_path / "out"))
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    refused("destination-busy", stored(PLAIN), tmp_path / "out")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".out.partial-")
    assert names(left) == ["model-00001-of-00009.safetensors"]
    convert(stored(PLAIN), tmp_path / "out", progress=False)
    assert names(tmp_path) == ["out"]
    mlx_lm.load(str(tmp_path / "out"))


HIDDEN, INNER, VOCABULARY, GROUP, LAYERS = 4096, 11008, 1000, 128, 4
MODULES = {f"self_attn.{name}_proj": (HIDDEN, HIDDEN) for name in "qkvo"} | {
    "mlp.gate_proj": (HIDDEN, INNER),
    "mlp.up_proj": (HIDDEN, INNER),
    "mlp.down_proj": (INNER, HIDDEN),
}


def write_7b_layers(folder: Path) -> None:
    """Layers of a 7B Llama, GPTQ in groups of 128, one shard each; random codes."""
    rng = np.random.default_rng(7)
    weight_map: dict[str, str] = {}

    def write(number: int, tensors: dict[str, np.ndarray]) -> None:
        file = f"model-{number:05d}-of-{LAYERS + 1:05d}.safetensors"
        save_file(tensors, folder / file)
        weight_map.update(dict.fromkeys(tensors, file))

    for layer in range(LAYERS):
        tensors: dict[str, np.ndarray] = {}
        for name, (inputs, outputs) in MODULES.items():
            groups, module = inputs // GROUP, f"model.layers.{layer}.{name}"
            tensors[f"{module}.qweight"] = rng.integers(-(2**31), 2**31, (inputs // 8, outputs), dtype=np.int32)
            tensors[f"{module}.qzeros"] = np.full((groups, outputs // 8), 0x77777777, dtype=np.int32)
            tensors[f"{module}.scales"] = (rng.random((groups, outputs), dtype=np.float32) / 1000).astype(np.float16)
            tensors[f"{module}.g_idx"] = np.arange(inputs, dtype=np.int32) // GROUP
        for name in ("input", "post_attention"):
            tensors[f"model.layers.{layer}.{name}_layernorm.weight"] = np.ones(HIDDEN, np.float16)
        write(layer + 1, tensors)
    table = rng.random((VOCABULARY, HIDDEN), dtype=np.float32).astype(np.float16)
    ends = {
        "model.embed_tokens.weight": table,
        "lm_head.weight": table,
        "model.norm.weight": np.ones(HIDDEN, np.float16),
    }
    write(LAYERS + 1, ends)
    config = {
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 32,
        "rms_norm_eps": 1e-6,
        "vocab_size": VOCABULARY,
        "tie_word_embeddings": False,
        "rope_theta": 10000.0,
        "torch_dtype": "float16",
        "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "sym": True, "desc_act": False},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def test_memory_is_bounded_by_a_shard_and_a_module_whatever_the_size(tmp_path: Path) -> None:
    # Linux hands ru_maxrss on to a child, so it would say how large pytest was; VmHWM starts anew with the program.
    code = """
        import os, re, resource, sys, time
        import mlx_lm.utils, mlx_quant
        def peak():
            if os.path.exists("/proc/self/status"):
                return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        before, started = peak(), time.monotonic()
        report = mlx_quant.convert(sys.argv[1], sys.argv[2], max_shard_bytes=int(sys.argv[3]), progress=False)
        print(peak() - before, report.nbytes, round(time.monotonic() - started, 1))
    """
    (tmp_path / "source").mkdir()
    write_7b_layers(tmp_path / "source")
    shard, module = 128 << 20, HIDDEN * INNER * 2
    output, _ = run(code, str(tmp_path / "source"), str(tmp_path / "out"), str(shard)).communicate(timeout=120)
    shutil.rmtree(tmp_path / "out")
    peak, written, seconds = (float(word) for word in output.split())
    bound = shard + 3 * module
    print(f"peak {peak / 2**20:.0f} MiB of {bound / 2**20:.0f}, {written / 2**20:.0f} MiB written in {seconds} s")
    assert written > 4 * bound
    assert peak < bound


def test_a_writer_that_nobody_wakes_ends_all_the_same(tmp_path: Path) -> None:
    """A signal while one is being woken leaves its place in the queue behind, and the next call wakes that one."""
    with ShardWriter(tmp_path, [{"a": ((4,), mx.float32)}]) as writer:
        waiting = writer._jobs.not_empty._waiters  # type: ignore[attr-defined]
        while not waiting:
            time.sleep(0.01)
        stale = threading.Lock()
        stale.acquire()
        waiting.appendleft(stale)
    assert not writer._thread.is_alive()


def test_no_more_waits_for_a_slow_disk_than_was_promised(tmp_path: Path) -> None:
    """One tensor, or 64 MB of smaller ones, beside the one that is being written."""
    size, count = 4 << 20, 40
    shapes = {f"t{number:02d}": ((size // 4,), mx.float32) for number in range(count)}
    go, seen, given = threading.Event(), list[int](), 0

    class Slow(io.BytesIO):
        def write(self, data: Any) -> int:
            go.wait()
            return super().write(data)

    def let_go() -> None:
        while given < 17:
            time.sleep(0.01)
        time.sleep(0.2)  # in which it would take more
        seen.append(given)
        go.set()

    with ShardWriter(tmp_path, [shapes]) as writer:
        writer._begin()
        assert writer._file is not None
        writer._file.close()
        writer._file = slow = Slow()
        watcher = threading.Thread(target=let_go)
        watcher.start()
        for number, name in enumerate(shapes):
            writer._put(name, mx.full((size // 4,), number, dtype=mx.float32))
            given += 1
        watcher.join()
        writer._jobs.join()
        assert seen == [17]
        written = np.frombuffer(slow.getvalue(), np.float32).reshape(count, -1)
        assert np.array_equal(written, np.repeat(np.arange(count, dtype=np.float32)[:, None], size // 4, axis=1))
