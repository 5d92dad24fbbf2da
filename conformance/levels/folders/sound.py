"""Sound checkpoint folders with one unusual thing about each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...bits.array import Array
from ...bits.fields import words
from ...corpus.folder import Folder, Packed
from .build import GROUP_SIZE, LAYER, MODULES, SIDECAR, VOCABULARY, Build

FORMATS = ("gptq", "awq")
Q, K, V, OUT = (f"{LAYER}self_attn.{leaf}_proj" for leaf in "qkvo")
GATE, UP, DOWN = (f"{LAYER}mlp.{leaf}_proj" for leaf in ("gate", "up", "down"))


def sound() -> Iterator[Folder]:
    for format in FORMATS:
        yield Build("plain", format).folder()
        yield from _files(format)
        yield from _configs(format)
        yield from _modules(format)
        yield from _biases(format)
    yield from _gptq()


def _files(format: str) -> Iterator[Folder]:
    build = Build("module-over-two-shards", format)
    yield build.sharded(lambda name: name.endswith("qweight") or "layernorm" in name)
    build = Build("decoy-shards", format)
    folder = build.sharded(lambda name: "mlp" in name)
    other = Build("another", format).stored()
    folder.shards |= {"consolidated.safetensors": other, "zz-old-model.safetensors": other}
    yield folder
    build = Build("named-after-the-other-format", format)
    yield build.folder(name="Model-7B-AWQ" if format == "gptq" else "Model-7B-GPTQ")


def _configs(format: str) -> Iterator[Folder]:
    build = Build("sidecar-only", format)
    yield build.folder(json={"config.json": build.config, SIDECAR[format]: build.settings})
    legacy = {"w_bit": 4, "q_group_size": GROUP_SIZE, "version": "GEMM", "zero_point": True}
    if format == "gptq":
        legacy = {"bits": 4, "group_size": GROUP_SIZE, "desc_act": False, "sym": False}
    build = Build("sidecar-of-an-old-producer", format)
    yield build.folder(json={"config.json": build.config, SIDECAR[format]: legacy})
    build = Build("sidecar-that-agrees", format)
    yield build.folder(
        json={"config.json": build.config | {"quantization_config": build.settings}, SIDECAR[format]: legacy}
    )
    build = Build("text_config", format)
    yield build.folder(json={"config.json": build.config | {"text_config": {"quantization_config": build.settings}}})


def _modules(format: str) -> Iterator[Folder]:
    key = "modules_to_not_convert" if format == "awq" else "modules_in_block_to_quantize"
    build = Build("skipped-module", format)
    build.unpack(DOWN)
    build.settings[key] = ["down_proj"] if format == "awq" else [[name for name in MODULES if "down" not in name]]
    yield build.folder()
    build = Build("skipped-module-unlisted", format)
    build.unpack(OUT)
    yield build.folder()
    build = Build("list-that-names-a-packed-module", format)
    # A router called `gate` is skipped in many models, and is a substring of the name of a module that is not.
    build.settings[key] = ["gate"] if format == "awq" else [["self_attn.q_proj", "self_attn.k_proj"]]
    yield build.folder()
    build = Build("packed-lm_head", format)
    del build.plain["lm_head.weight"]
    build.settings["lm_head"] = True
    build.pack("lm_head", VOCABULARY, 64)
    yield build.folder()
    build = Build("tied-with-packed-lm_head", format)
    del build.plain["lm_head.weight"]
    build.config["tie_word_embeddings"] = True
    build.pack("lm_head", VOCABULARY, 64)
    yield build.folder(optional=frozenset({"lm_head.weight"}))
    build = Build("tied", format)
    del build.plain["lm_head.weight"]
    build.config["tie_word_embeddings"] = True
    yield build.folder()
    build = Build("dtypes-side-by-side", format)
    build.plain["model.norm.weight"] = build.floats(64, dtype="float32")
    build.plain[LAYER + "input_layernorm.weight"] = build.floats(64, dtype="bfloat16")
    build.plain["model.embed_tokens.weight"] = build.floats(VOCABULARY, 64, dtype="bfloat16")
    yield build.folder()


def _biases(format: str) -> Iterator[Folder]:
    yield Build("real-biases", format, "qwen2").folder()
    build = Build("a-real-bias-of-zeros", format, "qwen2")
    build.plain[K + ".bias"] = Array.of(np.zeros(MODULES["self_attn.k_proj"][0], np.float16))
    yield build.folder()
    for model in ("llama", "qwen2"):
        build = Build(f"packer-s-zero-biases-{model}", format, model)
        for name in (OUT, GATE, UP, DOWN):
            build.stored_besides[name + ".bias"] = Array.of(np.zeros(MODULES[name.removeprefix(LAYER)][0], np.float16))
        yield build.folder()


def _gptq() -> Iterator[Folder]:
    build = Build("act-order", "gptq")
    build.settings["desc_act"] = True
    for name, shape in MODULES.items():
        build.pack(LAYER + name, *shape)
    yield build.folder()
    build = Build("dynamic", "gptq")
    build.settings["dynamic"] = {
        r"+:.*\.q_proj$": {"group_size": 64},
        r".*\.down_proj": {"group_size": -1},
        r"-:.*\.o_proj": {},
        r"+:.*\..*_proj": {"group_size": 16},
    }
    for name, shape in MODULES.items():
        size = {"q_proj": 64, "down_proj": -1}.get(name.rpartition(".")[2], 16)
        build.pack(LAYER + name, *shape, group_size=size)
    build.unpack(OUT)
    for packed in build.packed.values():
        packed.config.pop("dynamic")
    yield build.folder()
    build = Build("symmetric-under-the-wrong-label", "gptq")
    build.settings |= {"sym": True, "checkpoint_format": "gptq"}
    build.packed = {name: _eights(packed) for name, packed in build.packed.items()}
    yield build.folder()


def _eights(packed: Packed) -> Packed:
    """Zero point 8: stored as 7 by the rule, and here as 8."""
    shape = packed.tensors["scales"].shape
    sevens, eights = (Array.of(words(np.full(shape, value))) for value in (7, 8))
    return Packed(packed.config, packed.tensors | {"qzeros": sevens}, packed.tensors | {"qzeros": eights})
