"""Sound checkpoint folders with one unusual thing about each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...bits.array import Array
from ...formats.build import GROUP_SIZE, LAYER, MODULES, VOCABULARY, Build
from ...formats.folder import Folder
from ...formats.protocol import Format
from ...formats.registry import FORMATS

Q, K, V, OUT = (f"{LAYER}self_attn.{leaf}_proj" for leaf in "qkvo")
GATE, UP, DOWN = (f"{LAYER}mlp.{leaf}_proj" for leaf in ("gate", "up", "down"))


# As many as have numbers of two figures among them, which come before 2 where numbers are sorted as text.
MANY_LAYERS = 12


def build_of(format: Format, id: str, model: str = "llama", layers: int = 1) -> Build:
    """A folder of a format at its usual width."""
    return Build(format.SLUG, id, format.config(format.WIDTHS[0], GROUP_SIZE), format.drawn, model, layers)


def sound(format: Format) -> Iterator[Folder]:
    yield build_of(format, "plain").folder()
    yield from _files(format)
    yield from _forms(format)
    yield from _configs(format)
    yield from _modules(format)
    yield from _biases(format)


def _files(format: Format) -> Iterator[Folder]:
    build = build_of(format, "module-over-two-shards")
    yield build.sharded(lambda name: name.endswith(format.LEAVES[0]) or "layernorm" in name)
    build = build_of(format, "decoy-shards")
    folder = build.sharded(lambda name: "mlp" in name)
    other = build_of(format, "another").stored()
    folder.shards |= {"consolidated.safetensors": other, "zz-old-model.safetensors": other}
    yield folder
    foreign = next(other for other in FORMATS.values() if other is not format)
    build = build_of(format, "named-after-the-other-format")
    yield build.folder(name=f"Model-7B-{foreign.TITLE}")


def _forms(format: Format) -> Iterator[Folder]:
    """Folders as those of large models lie on a disk."""

    def layer(name: str) -> int:
        """The number of the layer a tensor is of; the embeddings come before all layers, the head after them."""
        number = name.removeprefix("model.layers.").partition(".")[0]
        return 1 + int(number) if number.isdecimal() else 0 if "embed" in name else layers + 1

    layers = 3
    yield build_of(format, "a-shard-a-layer", layers=layers).split(layers + 2, layer)
    layers = MANY_LAYERS
    build = build_of(format, f"{layers}-layers", layers=layers)
    yield build.split(4, lambda name: min(layer(name) // 4, 3))
    build = build_of(format, "cached-by-the-hub")
    snapshot = f"models--someone--a-model/snapshots/{40 * 'a'}"
    yield build.sharded(lambda name: "mlp" in name, name=snapshot, linked=True)


def _configs(format: Format) -> Iterator[Folder]:
    yield from _sidecars(format) if format.SIDECAR else ()
    build = build_of(format, "text_config")
    yield build.folder(json={"config.json": build.config | {"text_config": {"quantization_config": build.settings}}})


def _sidecars(format: Format) -> Iterator[Folder]:
    build = build_of(format, "sidecar-only")
    yield build.folder(json={"config.json": build.config, format.SIDECAR: build.settings})
    build = build_of(format, "sidecar-of-an-old-producer")
    yield build.folder(json={"config.json": build.config, format.SIDECAR: dict(format.LEGACY)})
    build = build_of(format, "sidecar-that-agrees")
    yield build.folder(
        json={
            "config.json": build.config | {"quantization_config": build.settings},
            format.SIDECAR: dict(format.LEGACY),
        }
    )


def _modules(format: Format) -> Iterator[Folder]:
    build = build_of(format, "skipped-module")
    build.unpack(DOWN)
    build.settings |= format.leaving_out(["down_proj"], [name for name in MODULES if "down" not in name])
    yield build.folder()
    build = build_of(format, "skipped-module-unlisted")
    build.unpack(OUT)
    yield build.folder()
    build = build_of(format, "list-that-names-a-packed-module")
    # A router called `gate` is skipped in many models, and is a substring of the name of a module that is not.
    build.settings |= format.leaving_out(["gate"], ["self_attn.q_proj", "self_attn.k_proj"])
    yield build.folder()
    build = build_of(format, "packed-lm_head")
    del build.plain["lm_head.weight"]
    build.settings["lm_head"] = True
    build.pack("lm_head", VOCABULARY, 64)
    yield build.folder()
    build = build_of(format, "tied-with-packed-lm_head")
    del build.plain["lm_head.weight"]
    build.config["tie_word_embeddings"] = True
    build.pack("lm_head", VOCABULARY, 64)
    yield build.folder(optional=frozenset({"lm_head.weight"}))
    build = build_of(format, "tied")
    del build.plain["lm_head.weight"]
    build.config["tie_word_embeddings"] = True
    yield build.folder()
    build = build_of(format, "dtypes-side-by-side")
    build.plain["model.norm.weight"] = build.floats(64, dtype="float32")
    build.plain[LAYER + "input_layernorm.weight"] = build.floats(64, dtype="bfloat16")
    build.plain["model.embed_tokens.weight"] = build.floats(VOCABULARY, 64, dtype="bfloat16")
    yield build.folder()


def _biases(format: Format) -> Iterator[Folder]:
    yield build_of(format, "real-biases", "qwen2").folder()
    build = build_of(format, "a-real-bias-of-zeros", "qwen2")
    build.plain[K + ".bias"] = Array.of(np.zeros(MODULES["self_attn.k_proj"][0], np.float16))
    yield build.folder()
    for model in ("llama", "qwen2"):
        build = build_of(format, f"packer-s-zero-biases-{model}", model)
        for name in {OUT, GATE, UP, DOWN} & build.packed.keys():
            build.stored_besides[name + ".bias"] = Array.of(np.zeros(MODULES[name.removeprefix(LAYER)][0], np.float16))
        yield build.folder()
