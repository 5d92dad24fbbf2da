"""The checkpoint folders every loader must read, and those it must refuse.

Each is one layer of a Llama or Qwen2 model with small random weights: sound, with one thing about it that some loader
got wrong. What is right comes from the files' own formats: the tensors say which modules are packed, the index which
files belong to the checkpoint, the architecture which biases exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any

import numpy as np

from ..bits.array import Array
from .folder import Folder, Packed, Shard, sized
from .module import full_name
from .parts import Config

GROUP_SIZE = 32
LAYER = "model.layers.0."
NORMS = ("input_layernorm", "post_attention_layernorm")
# Local name to [out, in].
MODULES = {
    "self_attn.q_proj": (64, 64),
    "self_attn.k_proj": (32, 64),
    "self_attn.v_proj": (32, 64),
    "self_attn.o_proj": (64, 64),
    "mlp.gate_proj": (96, 64),
    "mlp.up_proj": (96, 64),
    "mlp.down_proj": (64, 96),
}
VOCABULARY = 40
# Random tensors [out, in] as a config describes them; none where the format cannot pack such a module.
Drawn = Callable[[np.random.Generator, Config, int, int], dict[str, Array]]
# What was drawn for outlines, by what it was drawn of; None where each module gets numbers of its own.
_Outlines = dict[tuple[Drawn, str, int, int], dict[str, Array]]
_outlines: ContextVar[_Outlines | None] = ContextVar("outlines", default=None)


@contextmanager
def in_outline() -> Iterator[None]:
    """Whatever is built within has the right names, shapes, dtypes and settings, and numbers that mean nothing.

    Most modules of most folders are alike but for their numbers, which take most of the time that it takes to build
    all folders: here such modules are copies of one draw, and plain tensors are zeros.
    """
    token = _outlines.set({})
    try:
        yield
    finally:
        _outlines.reset(token)


class Build:
    """Draws the pieces of one folder."""

    def __init__(
        self, slug: str, id: str, settings: Config, drawn: Drawn, model: str = "llama", layers: int = 1
    ) -> None:
        """``settings`` are the format's plainest, of groups of ``GROUP_SIZE``."""
        self._seed, self._outlines = sum(id.encode()), _outlines.get()
        self.id, self.slug, self.settings, self._drawn = f"{slug}-{id}", slug, dict(settings), drawn
        self.config: dict[str, Any] = {
            "architectures": ["LlamaForCausalLM" if model == "llama" else "Qwen2ForCausalLM"],
            "model_type": model,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": layers,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "max_position_embeddings": 64,
            "vocab_size": VOCABULARY,
            "tie_word_embeddings": False,
            "torch_dtype": "float16",
        }
        self.packed: dict[str, Packed] = {}
        self.plain: Shard = {
            "model.embed_tokens.weight": self.floats(VOCABULARY, 64),
            "model.norm.weight": self.floats(64),
            LAYER + "input_layernorm.weight": self.floats(64),
            LAYER + "post_attention_layernorm.weight": self.floats(64),
            "lm_head.weight": self.floats(VOCABULARY, 64),
        }
        for number in range(layers):
            layer = f"model.layers.{number}."
            if layer != LAYER:
                self.plain |= {f"{layer}{norm}.weight": self.floats(64) for norm in NORMS}
            for name, shape in MODULES.items():
                self.pack(layer + name, *shape)
        if model == "qwen2":
            for leaf in ("q", "k", "v"):
                self.plain[f"{LAYER}self_attn.{leaf}_proj.bias"] = self.floats(MODULES[f"self_attn.{leaf}_proj"][0])
        # Stored, but no weight of the model.
        self.stored_besides: Shard = {}

    @cached_property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self._seed)

    def floats(self, *shape: int, dtype: str = "float16") -> Array:
        draw = self.rng.standard_normal if self._outlines is None else np.zeros
        values = draw(shape).astype(np.float32)
        if dtype == "bfloat16":
            return Array("bfloat16", (values.view(np.uint32) >> 16).astype(np.uint16))
        return Array.of(values.astype(dtype))

    def pack(self, name: str, out: int, in_features: int, **own: Any) -> None:
        """A packed module, or a plain one where the format has no words for its shape; ``own`` overrides the folder's
        settings for it. What the model says of a layer is true of it alone."""
        settings = sized(self.settings | own, out, in_features)
        if tensors := self._tensors(settings, out, in_features):
            self.packed[name] = Packed(settings, tensors)
        else:
            self.plain[name + ".weight"] = self.floats(out, in_features)

    def _tensors(self, settings: Config, out: int, in_features: int) -> dict[str, Array]:
        if self._outlines is None:
            return self._drawn(self.rng, settings, out, in_features)
        alike = self._drawn, repr(settings), out, in_features
        if alike not in self._outlines:
            self._outlines[alike] = self._drawn(self.rng, settings, out, in_features)
        # Folders write into what they are given.
        return {name: Array(array.dtype, array.bits.copy()) for name, array in self._outlines[alike].items()}

    def unpack(self, name: str) -> None:
        """Make a module a plain one."""
        self.packed.pop(name, None)
        self.plain[name + ".weight"] = self.floats(*MODULES[name.removeprefix(LAYER)])

    def stored(self) -> Shard:
        """All tensors as they are on disk."""
        tensors = {name: packed.stored or packed.tensors for name, packed in self.packed.items()}
        inside = {full_name(name, leaf): array for name, own in tensors.items() for leaf, array in own.items()}
        return self.plain | inside | self.stored_besides

    def folder(self, **fields: Any) -> Folder:
        """One file of weights and a config, unless ``fields`` say otherwise."""
        given: dict[str, Any] = {
            "json": {"config.json": self.config | {"quantization_config": self.settings}},
            "shards": {"model.safetensors": self.stored()},
        }
        return Folder(self.id, self.slug, packed=self.packed, plain=self.plain, **(given | fields))

    def sharded(self, first: Callable[[str], bool], **fields: Any) -> Folder:
        """Two files and an index; ``first`` says what goes into the first."""
        return self.split(2, lambda name: 0 if first(name) else 1, **fields)

    def split(self, count: int, place: Callable[[str], int], stem: str = "model", **fields: Any) -> Folder:
        """``count`` files and an index, all called after ``stem``; ``place`` says which file a tensor goes into."""
        names = [f"{stem}-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
        shards: dict[str, Shard] = {name: {} for name in names}
        for name, array in self.stored().items():
            shards[names[place(name)]][name] = array
        index = {"metadata": {}, "weight_map": {name: file for file, part in shards.items() for name in part}}
        settings = self.config | {"quantization_config": self.settings}
        return self.folder(
            shards=shards, json={"config.json": settings, f"{stem}.safetensors.index.json": index}, **fields
        )
