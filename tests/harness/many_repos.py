"""A Hub of many small repos of every kind, sound and not, and what a survey must say of each.

What is due is written here by hand; nothing of it is asked of the code under test. As a program it serves such a Hub:

    python -m tests.harness.many_repos --count 1000 --list repos.txt --latency 0.05
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.checkpoint.hub_server import Hub, files_of

ROOT = Path(__file__).parents[2]
Files = dict[str, bytes]


@dataclass(frozen=True)
class Kind:
    """A kind of repo, and what is due of it.

    Attributes:
        made: its files, none where there is no repo.
        outcome, code: of its row.
        facts: further columns of its row.
        options: of :meth:`Hub.add`.
    """

    made: Callable[[], Files | None]
    outcome: str
    code: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


def real(name: str) -> Callable[[], Files]:
    """A real tiny checkpoint of the fixtures."""
    (folder,) = ROOT.glob(f"fixtures/*/models/{name}")
    return lambda: files_of(folder)


def header(tensors: dict[str, tuple[str, list[int], int]], size: int | None = None) -> bytes:
    """A safetensors file of zeros: name to dtype, shape and bytes; ``size`` is what its first eight bytes say."""
    entries, end = {}, 0
    for name, (dtype, shape, length) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + length]}
        end += length
    text = json.dumps(entries).encode()
    return (len(text) if size is None else size).to_bytes(8, "little") + text + bytes(end)


def configured(weights: bytes, **config: Any) -> Files:
    base = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 1}
    return {"config.json": json.dumps(base | config).encode(), "model.safetensors": weights}


def _bnb() -> Files:
    weights = header(
        {
            "model.layers.0.mlp.down_proj.weight": ("U8", [128, 1], 128),
            "model.layers.0.mlp.down_proj.weight.absmax": ("F32", [4], 16),
        }
    )
    return configured(weights, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})


def _mlx() -> Files:
    weights = header({"model.layers.0.mlp.down_proj.weight": ("U32", [16, 8], 512)})
    return configured(weights, quantization={"group_size": 64, "bits": 4})


def _dense() -> Files:
    return configured(header({"model.embed_tokens.weight": ("F16", [16, 8], 256)}))


def _pickled() -> Files:
    return {"config.json": configured(b"", **_GPTQ)["config.json"], "pytorch_model.bin": b"\x80\x04" * 99}


def _without(name: str, *gone: str) -> Callable[[], Files]:
    return lambda: {file: data for file, data in real(name)().items() if file not in gone}


def _with(name: str, **files: bytes) -> Callable[[], Files]:
    return lambda: real(name)() | {file.replace("__", "."): data for file, data in files.items()}


def _contradicting() -> Files:
    files = real("llama-awq-g128")()
    config = json.loads(files["config.json"])
    config["quantization_config"] |= {"quant_method": "gptq", "desc_act": False, "sym": False}
    files.pop("quantize_config.json", None), files.pop("quant_config.json", None)
    return files | {"config.json": json.dumps(config).encode()}


# A shape of so many bytes as no file has, and a header that says it is as long as no memory is.
_HUGE = header({"model.layers.0.mlp.down_proj.qweight": ("I32", [2**30, 2**9], 16)})
_LONG = header({"model.embed_tokens.weight": ("F16", [16, 8], 256)}, size=2**40)
_GPTQ = {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True}}

KINDS: dict[str, Kind] = {
    "gptq": Kind(
        real("llama-gptq-g128-seq-asym"),
        "read",
        facts={"family": "gptq", "packings": ["gptq"], "bits": [4], "group_sizes": [128], "modules": 14, "shards": 1},
    ),
    "gptq-act-order": Kind(real("llama-gptq-g128-act-asym"), "read", facts={"act_order": True, "sym": False}),
    "gptq-3bit": Kind(real("qwen2-gptq-3bit-g32-act-sym"), "read", facts={"bits": [3], "group_sizes": [32]}),
    "gptq-v2": Kind(
        real("llama-gptqmodel-v2-g64-act-asym"),
        "read",
        facts={"layout": "gptq_v2", "producer": "gptqmodel", "producer_version": "7.7.0"},
    ),
    "awq": Kind(
        real("llama-awq-g128"), "read", facts={"family": "awq", "packings": ["awq_gemm"], "dtypes": ["float16"]}
    ),
    "awq-sharded": Kind(real("qwen2-awq-g128"), "read", facts={"shards": 2, "model_type": "qwen2"}),
    "awq-gemv": Kind(real("qwen2-awq-gemv-g128"), "read", facts={"packings": ["awq_gemv"]}),
    "ct-packed": Kind(
        real("llama-ct-4bit-g32-asym"), "read", facts={"family": "compressed-tensors", "packings": ["ct_packed"]}
    ),
    "ct-mixed": Kind(real("qwen2-ct-mixed-precision"), "read"),
    "ct-int": Kind(real("llama-ct-w8a8-channel"), "read", facts={"packings": ["ct_int"], "bits": [8]}),
    "fp8": Kind(real("qwen2-fp8-b128"), "read", facts={"family": "fp8", "packings": ["fp8"]}),
    # It is read, and this one lacks its table of values.
    "bnb": Kind(_bnb, "refused", "missing-tensor", {"family": "bitsandbytes"}),
    "mlx": Kind(_mlx, "refused", "mlx-native", {"family": "mlx", "bits": [4], "group_sizes": [64]}),
    "dense": Kind(_dense, "refused", "not-quantized", {"family": "dense", "model_type": "llama"}),
    "gguf": Kind(lambda: {"model.gguf": b"GGUF" * 1000}, "refused", "missing-file", {"family": "gguf"}),
    "pickled": Kind(_pickled, "refused", "unsafe-weights", {"family": "gptq"}),
    "empty-weights": Kind(lambda: configured(b"", **_GPTQ), "refused", "truncated-file", {"family": "gptq"}),
    "adapters": Kind(
        lambda: {"adapter_config.json": b"{}", "adapter_model.safetensors": header({})},
        "refused",
        "missing-file",
        {"family": "adapters"},
    ),
    "no-json": Kind(_with("llama-awq-g32", config__json=b'{"model_type": '), "refused", "bad-file"),
    "deep-json": Kind(_with("llama-awq-g32", config__json=b'{"a":' * 9000 + b"1" + b"}" * 9000), "refused", "bad-file"),
    "wrong-types": Kind(
        lambda: configured(b"", quantization_config={"quant_method": ["gptq"], "bits": {"a": 10**400}}),
        "refused",
        "bad-config-value",
    ),
    "no-shard": Kind(_without("qwen2-awq-g128", "model-00002-of-00002.safetensors"), "refused", "missing-file"),
    "contradicting": Kind(_contradicting, "refused", "config-contradiction", {"family": "gptq"}),
    "cut-weights": Kind(
        lambda: configured(header({"a.qweight": ("I32", [16, 8], 512)})[:200], **_GPTQ), "refused", "truncated-file"
    ),
    "huge-shape": Kind(lambda: configured(_HUGE, **_GPTQ), "refused", "truncated-file"),
    "long-header": Kind(lambda: configured(_LONG, **_GPTQ), "refused", "truncated-file"),
    "gated": Kind(real("llama-awq-g32"), "error", "gated", options={"access": "gated"}),
    "secret": Kind(real("llama-awq-g32"), "error", "no-such-repo", options={"access": "token"}),
    "absent": Kind(lambda: None, "error", "no-such-repo"),
}


def names(count: int) -> Iterator[tuple[str, str]]:
    """Repos and their kinds, in turn."""
    kinds = list(KINDS)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        yield f"owner-{number % 37}/{kind}-{number:04}", kind


def fill(hub: Hub, count: int) -> dict[str, str]:
    """So many repos into a Hub; returns their kinds by name."""
    made = {kind: known.made() for kind, known in KINDS.items()}
    found = dict(names(count))
    for repo, kind in found.items():
        if (files := made[kind]) is not None:
            # Otherwise all repos of a kind would be one commit.
            hub.add(repo, files | {"README.md": repo.encode()}, **KINDS[kind].options)
    return found


def limited(every: int, window: float) -> Callable[[str], tuple[int, dict[str, str]] | None]:
    """A Hub that takes so many requests a window of seconds, and tells those beyond when the next one begins."""
    lock, state = threading.Lock(), {"begun": time.monotonic(), "taken": 0}

    def fails(path: str) -> tuple[int, dict[str, str]] | None:
        with lock:
            now = time.monotonic()
            if now - state["begun"] >= window:
                state.update(begun=now, taken=0)
            state["taken"] += 1
            left = max(0, int(window - (now - state["begun"])))
        return None if state["taken"] <= every else (429, {"RateLimit": f'"api";r=0;t={left}'})

    return fails


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--list", type=Path, required=True, help="where to write the names of the repos")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds an answer takes")
    parser.add_argument("--limit", type=int, default=0, help="requests in --window seconds, 0 for no limit")
    parser.add_argument("--window", type=float, default=5.0)
    asked = parser.parse_args()
    with Hub() as hub:
        kinds = fill(hub, asked.count)
        asked.list.write_text("".join(f"{repo}\n" for repo in kinds))
        hub.latency = asked.latency
        if asked.limit:
            hub.fails = limited(asked.limit, asked.window)
        print(f"HF_ENDPOINT={hub.endpoint}", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            threading.Event().wait()
        except (KeyboardInterrupt, SystemExit):
            statuses: dict[int, int] = {}
            for request in hub.log:
                statuses[request.status] = statuses.get(request.status, 0) + 1
            weights = sum(request.sent for request in hub.log if request.path.endswith(".safetensors"))
            print(f"{len(hub.log)} requests, by status {statuses}; {weights / 1e6:.1f} MB of safetensors files sent")
    return 0


if __name__ == "__main__":
    sys.exit(main())
