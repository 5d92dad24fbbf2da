"""The fuzzer: sound checkpoints bent in ways a grammar knows, each opened, planned, converted and its tokenizer loaded.

    python tests/safety/fuzz.py [--count 100000] [--seed 0] [--workers 2] [--seconds 600]

Every input must end in success or a QuantError, within limits of time, memory and descriptors, and leave nothing. An
input is a list of edits, so that a finding is a line of JSON: those in ``findings.jsonl`` are tried again by the tests.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.connection
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.safety import tiny

MEMORY, SECONDS, DESCRIPTORS = 8 << 30, 20, 256
Edit = list[Any]

# What stands where something else was expected.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 64, 1000, 4097, 2**31, 2**63, 10**30, 10**400, -(10**9)),
    *(0.5, -0.0, 1e308, float("inf"), float("nan"), "", "x", "gptq", "awq", "4", "\ud800", "\x1b[2J", "\0", "../x"),
    *("a" * 5000, [], [1], [None], [[]], {}, {"x": 1}, {"": {}}, "(a+)+$", "float16", "torch.float16", "llama", "base"),
)
# Keys that are worth having where they are not.
KEYS = (
    *("model_file", "auto_map", "quantization", "text_config", "rope_parameters", "rope_scaling", "layer_types"),
    *("eos_token_id", "num_experts", "sliding_window", "head_dim", "tie_word_embeddings", "dtype", "bits", "w_bit"),
    *("group_size", "desc_act", "sym", "dynamic", "meta", "quantizer", "format", "checkpoint_format", "version"),
    *("backend", "is_marlin_format", "modules_to_not_convert", "lm_head", "tool_parser_type", "chat_template_type"),
    *("chat_template", "tokenizer_class", "added_tokens_decoder", "model_file_base_name", "quant_method", "x"),
)
TEXTS = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"{}",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b'{"a":' * 3000,
    b"[" * 200_000,
    b'{"a":NaN}',
)
DTYPES = ("F16", "BF16", "F32", "F64", "I8", "U8", "I16", "I32", "U32", "I64", "BOOL", "F8_E4M3", "F4", "X", "")


def edits(rng: random.Random, content: dict[str, bytes]) -> list[Edit]:
    """One to three edits."""
    return [edit for _ in range(rng.choice((1, 1, 1, 2, 3))) if (edit := _edit(rng, content))]


def _edit(rng: random.Random, content: dict[str, bytes]) -> Edit:
    documents = [name for name in content if name.endswith(".json")]
    shards = [name for name in content if name.endswith(".safetensors")]
    kind = rng.choice(
        ("value", "value", "value", "add", "drop", "text", "cut", "flip", "header", "header", "sidecar", "name")
    )
    if kind in ("value", "drop", "add"):
        name = rng.choices(documents, [6 if name == "config.json" else 1 for name in documents])[0]
        paths = list(_paths(json.loads(content[name])))
        path = rng.choice(paths)
        if kind == "add":
            return ["add", name, path[:-1], rng.choice(KEYS), rng.randrange(len(VALUES))]
        return [kind, name, path, *([rng.randrange(len(VALUES))] if kind == "value" else [])]
    if kind == "text":
        return ["text", rng.choice(documents), rng.randrange(len(TEXTS))]
    if kind == "cut":
        name = rng.choice(list(content))
        return ["cut", name, rng.randrange(len(content[name]) + 1)]
    if kind == "flip":
        name = rng.choice(list(content))
        return ["flip", name, rng.randrange(max(1, len(content[name]))), rng.randrange(256)]
    if kind == "header":
        what = rng.choice(("dtype", "shape", "span", "drop", "copy", "length"))
        return ["header", rng.choice(shards), what, rng.randrange(10**6), rng.randrange(10**6)]
    if kind == "sidecar":
        name = rng.choice(("quantize_config.json", "quant_config.json", "hf_quant_config.json", "added_tokens.json"))
        return ["sidecar", name, rng.choice(KEYS), rng.randrange(len(VALUES))]
    return [
        "name",
        rng.choice(list(content)),
        rng.choice(("gone", "link", "pipe", "folder", "\x1b[31m.py", "x\n.json")),
    ]


def _paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[list[Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for number, (key, inner) in enumerate(items):
        yield [*before, key]
        if number < 40:
            yield from _paths(inner, (*before, key))


def applied(content: dict[str, bytes], changes: list[Edit]) -> tuple[dict[str, bytes], list[Edit]]:
    """The bent files, and edits of the folder itself that are left to do."""
    files, left = dict(content), []
    for change in changes:
        kind, name, *rest = change
        data = files.get(name, b"")
        if kind in ("value", "add", "drop", "sidecar"):
            files[name] = _bent(data, kind, rest)
        elif kind == "text":
            files[name] = TEXTS[rest[0]]
        elif kind == "cut":
            files[name] = data[: rest[0]]
        elif kind == "flip" and data:
            place = rest[0] % len(data)
            files[name] = data[:place] + bytes([rest[1]]) + data[place + 1 :]
        elif kind == "header":
            files[name] = _header(data, *rest)
        elif kind == "name":
            left.append(change)
    return files, left


def _bent(data: bytes, kind: str, rest: list[Any]) -> bytes:
    if kind == "sidecar":
        return json.dumps({"quant_method": "gptq", rest[0]: VALUES[rest[1]]}).encode()
    try:
        value = json.loads(data)
        at = value
        *way, last = rest[0] if kind != "add" else [*rest[0], rest[1]]
        for key in way:
            at = at[key]
        if kind == "drop":
            del at[last]
        elif kind == "add" and isinstance(at, list):
            at.append(VALUES[rest[2]])
        else:
            at[last] = VALUES[rest[-1]]
        return json.dumps(value).encode()
    except (ValueError, LookupError, TypeError, RecursionError):
        return data  # an earlier edit took that away


def _header(data: bytes, what: str, which: int, how: int) -> bytes:
    try:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        name = sorted(header)[which % len(header)]
        entry = header[name]
        if what == "dtype":
            entry["dtype"] = DTYPES[how % len(DTYPES)]
        elif what == "shape":
            shapes = ([], [0], [2**31, 0], [2**62, 4], [-1], [1] * 40, ["x"], entry.get("shape", [])[::-1], [1.5], None)
            entry["shape"] = shapes[how % len(shapes)]
        elif what == "span":
            spans = ([0, 0], [0, 2**63], [-8, 8], [8, 0], [], entry.get("data_offsets", [0, 1])[::-1], None, [0, 2**70])
            entry["data_offsets"] = spans[how % len(spans)]
        elif what == "drop":
            del header[name]
        elif what == "copy":
            header[("model.layers.9.x.qweight", "", "x" * 5000, "\x1b", "a.b.scales")[how % 5]] = entry
        text = json.dumps(header).encode()
        length = (len(text), 2**63, 0, len(text) + 1, 100_000_001)[how % 5] if what == "length" else len(text)
        return length.to_bytes(8, "little") + text + data[8 + size :]
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        return data


class Trial:
    """One worker's folder, in which inputs are tried one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bases = {method: tiny.files(method) for method in tiny.QUANTIZATION}
        (folder / "tmp").mkdir(parents=True)
        tempfile.tempdir = str(folder / "tmp")

    def run(self, base: str, changes: list[Edit]) -> tuple[str, str | None]:
        """How it ended (``"done"`` or the code of the refusal), and what is wrong with that, or None."""
        import mlx_quant

        files, rest = applied(self.bases[base], changes)
        source, place = tiny.write(self.folder / "source", files), self.folder / "place"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for _, name, how in rest:
            _plant(source, name, how)
        held, started = len(os.listdir("/proc/self/fd")), time.monotonic()
        ended, wrong = "done", None
        signal.signal(signal.SIGALRM, _late)
        signal.alarm(SECONDS)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._use(source, place / "out", tokenizer=any("token" in str(change[1]) for change in changes))
        except mlx_quant.QuantError as error:
            ended = error.code
            if not str(error).isprintable():
                wrong = f"a message that commands terminals: {error!r}"
        except BaseException as error:
            ended, wrong = "broken", f"{type(error).__name__}: {str(error)[:300]} {_where(error)}"
        finally:
            signal.alarm(0)
        if wrong is None and len(os.listdir("/proc/self/fd")) > held:
            wrong = "a descriptor is left open"
        found = sorted(path.name for path in place.iterdir())
        if wrong is None and (found != (["out"] if ended == "done" else []) or os.listdir(self.folder / "tmp")):
            wrong = f"left behind: {found}"
        if wrong is None and time.monotonic() - started > SECONDS:
            wrong = "late"
        return ended, wrong

    def _use(self, source: Path, out: Path, *, tokenizer: bool) -> None:
        from mlx_quant import Checkpoint, convert
        from mlx_quant.cli.inspection import inspect
        from mlx_quant.running.tokenizer import load_tokenizer

        inspect(source, data=False)
        checkpoint = Checkpoint.open(source)
        if tokenizer:
            load_tokenizer(checkpoint.files, None, checkpoint.config.get("eos_token_id"))
        convert(checkpoint, out, target="auto", progress=False, durable=False)


def _late(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-3:][::-1])


def _plant(source: Path, name: str, how: str) -> None:
    file = source / name
    if how.startswith(("\x1b", "x")):
        (source / how).write_text("x")
        return
    file.unlink(missing_ok=True)
    if how == "link":
        file.symlink_to("/etc/hostname")
    elif how == "pipe":
        os.mkfifo(file)
    elif how == "folder":
        file.mkdir()


def inputs(seed: int, worker: int, bases: dict[str, dict[str, bytes]]) -> Iterator[tuple[str, list[Edit]]]:
    rng = random.Random(f"{seed}/{worker}")
    while True:
        base = rng.choice(sorted(bases))
        yield base, edits(rng, bases[base])


def work(seed: int, worker: int, count: int, seconds: float, report: Any) -> None:
    """One worker: an input is announced before it is tried, so that one that ends the process is known."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    import mlx_quant  # noqa: F401  (sets a limit of its own on descriptors)

    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        trial = Trial(Path(os.path.realpath(folder)))
        for number, (base, changes) in enumerate(inputs(seed, worker, trial.bases)):
            if number >= count or time.monotonic() - started > seconds:
                break
            report.send(("try", base, changes))
            report.send(("end", *trial.run(base, changes)))
    report.send(("over", "", None))


def campaign(seed: int, count: int, workers: int, seconds: float) -> tuple[Counter[str], list[dict[str, Any]]]:
    """Endings with their number, and findings: one a distinct complaint. A worker that dies is replaced."""
    context = multiprocessing.get_context("spawn")
    endings: Counter[str] = Counter()
    findings: dict[str, dict[str, Any]] = {}
    pipes: dict[Any, list[Any]] = {}
    deadline, serial = time.monotonic() + seconds, 0

    def start(share: int) -> None:
        nonlocal serial
        ours, theirs = context.Pipe(duplex=False)
        left = max(1.0, deadline - time.monotonic())
        process = context.Process(target=work, args=(seed, serial, share, left, theirs))
        process.start()
        theirs.close()
        pipes[ours] = [process, share, None]
        serial += 1

    for _ in range(workers):
        start(-(-count // workers))
    while pipes:
        for pipe in multiprocessing.connection.wait(list(pipes), timeout=SECONDS * 3):
            state = pipes[pipe]
            try:
                kind, first, second = pipe.recv()
            except EOFError:
                del pipes[pipe]
                state[0].join()
                if state[2] is not None:
                    text = f"the process ends with {state[0].exitcode}"
                    findings.setdefault(text, {"base": state[2][0], "edits": state[2][1], "complaint": text})
                    endings["crash"] += 1
                    start(state[1])
                continue
            if kind == "try":
                state[1], state[2] = state[1] - 1, (first, second)
            elif kind == "end":
                endings[first] += 1
                if second:
                    findings.setdefault(second, {"base": state[2][0], "edits": state[2][1], "complaint": second})
                state[2] = None
            else:
                del pipes[pipe]
                state[0].join()
    return endings, list(findings.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop after so long, whatever the count")
    parser.add_argument("--findings", type=Path, default=Path("findings.jsonl"), help="where new ones are written")
    arguments = parser.parse_args()
    endings, findings = campaign(arguments.seed, arguments.count, arguments.workers, arguments.seconds)
    for code, number in endings.most_common():
        print(f"{number:8d} {code}")
    print(f"{sum(endings.values())} inputs of seed {arguments.seed}, {len(findings)} findings")
    if findings:
        arguments.findings.write_text("".join(json.dumps(finding) + "\n" for finding in findings))
        print(f"written to {arguments.findings}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
