"""A packed checkpoint on disk or on the Hub: opened from its headers, decoded one module at a time."""

from __future__ import annotations

import os
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, cast

import mlx.core as mx
import numpy as np

from ..dialects.schemes import Shaped
from ..errors import ConversionError, MalformedCheckpoint, QuantError, QuantWarning, UnsupportedFormat
from ..files import mapped
from ..files.folder import BYTES_OF_FLOATS, DTYPES, Files, TensorInfo, stamps
from ..files.hub import resolve
from ..files.shards import locate
from ..packings.checks import leaf
from ..packings.registry import PACKINGS, decode, remarks, traits
from ..weights.decoded import Weight, planned
from ..weights.host import place, placed
from ..weights.native import AffineWeights, NativeWeights
from .modules import PackedModule, described, leftovers, packed_modules
from .shapes import shapes_of
from .sources import detect, refuse_layers

# Each open shard holds a file descriptor, and some systems allow 256.
_OPEN_SHARDS = 4
ACT_ORDER = "act-order: MLX's packed form has no place for the permutation of its inputs"


@dataclass(frozen=True)
class Examined:
    """What a module's small tensors say of it; its codes were not read.

    Attributes:
        act_order: whether its input channels stand in another order than their groups.
        not_native: why MLX cannot hold it packed, or None.
        parameters: of its packed form, as mlx-lm's ``config.json`` has them.
        parts: name in the packed form (``weight``, ``scales``, ...) to shape and dtype; ``permutation`` is among them
            where its inputs must be put in order as it runs.
    """

    act_order: bool
    not_native: str | None
    parameters: Mapping[str, Any]
    parts: Mapping[str, tuple[tuple[int, ...], mx.Dtype]]


class Checkpoint:
    """A packed checkpoint. :meth:`open` reads JSON and headers only, and what describes a module where headers do not;
    tensors are read when they are asked for.

    Attributes:
        label: the path or repo id it was opened by.
        files: where its files are.
        candidates: whether formats that are not proven yet are decoded.
        config: ``config.json``.
        quantization_config: the quantisation settings, merged from every file that has some.
        sources: the files and keys they came from.
        scheme: the default :class:`Scheme`; a module's own is in ``modules``.
        modules: packed modules by name, in file order.
        plain: every other tensor by name, in file order; not the biases of packed modules.
        leftovers: names of tensors that mean nothing: as :func:`leftovers` finds them.
        shards, ignored_files: safetensors files that are read, and those that belong to something else.
    """

    def __init__(self, files: Files, *, candidates: bool = False) -> None:
        self._as_opened = stamps(files)
        found = detect(files)
        weights = locate(files, found.quantization)
        refuse_layers(found.config, len(weights.tensors))
        found = found.with_headers(lambda: weights.said)
        self.files, self.label, self.candidates = files, files.label, candidates
        self.config, self.quantization_config = found.config, found.quantization
        self.sources, self.scheme = found.sources, found.scheme
        self.shards, self.ignored_files = weights.shards, weights.ignored
        self._tensors = described(files, weights.tensors)
        for info in self._tensors.values():
            if info.dtype not in DTYPES:
                raise UnsupportedFormat(
                    "unsupported-dtype",
                    f"dtype {info.dtype} is not decoded; supported: {', '.join(DTYPES)}",
                    where=f"{info.file}: {info.name}",
                )
        schemes = Shaped(found.schemes, shapes_of(found.config, self._tensors))
        self.modules = packed_modules(self._tensors, schemes, candidates=candidates)
        inside = {info.name for module in self.modules.values() for info in module.tensors.values()}
        self.leftovers = leftovers(self._tensors, found.schemes)
        outside = {name: info for name, info in self._tensors.items() if name not in inside}
        self.plain = {name: info for name, info in outside.items() if name not in self.leftovers}
        _refuse_bare_bytes(self.plain, fours=self.scheme.otherwise is not None)
        self._open: OrderedDict[str, dict[str, mx.array]] = OrderedDict()
        self._ahead: dict[str, dict[str, mx.array]] = {}
        self._mapped: dict[str, mapped.Mapped] = {}
        self._forget()
        if not self.modules:
            raise MalformedCheckpoint(
                "missing-tensor",
                f"{found.sources[0]} says {found.scheme.method}, but no tensor is packed; "
                "if the weights are already dense, remove the quantisation config",
                where=self.shards[0],
            )

    @classmethod
    def open(
        cls,
        path_or_repo: str | os.PathLike[str],
        *,
        candidates: bool = False,
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
    ) -> Checkpoint:
        """Open a checkpoint in a folder or on the Hub, without reading (or downloading) weights.

        Args:
            path_or_repo: a folder, or a Hub repo id where no such folder exists.
            candidates: decode formats too that the conformance suite has not proven yet.
            revision: branch, tag or commit of a Hub repo.
            cache_dir: the Hub cache; None is huggingface_hub's own.
            local_files_only: use only what the cache holds, as ``HF_HUB_OFFLINE=1`` does.

        Raises:
            UnsupportedFormat: what the files hold is not decoded by this version.
            MalformedCheckpoint: the files contradict each other or themselves.
            ConversionError: ``hub-error``, ``missing-dependency``.
        """
        files = resolve(path_or_repo, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only)
        return cls(files, candidates=candidates)

    @property
    def warnings(self) -> list[str]:
        """What deserves a look: files that are ignored, and labels that the decoded data made doubtful so far."""
        ignored = [f"{name} is not part of this checkpoint and is ignored" for name in self.ignored_files]
        code = [name for name in self.files.names if name.endswith((".py", ".so", ".pkl", ".sh"))]
        ignored += [f"{name} is code: it is not run and not copied" for name in code]
        noted: dict[str, list[str]] = {}
        for module, texts in self._remarks.items():
            for text in texts:
                noted.setdefault(text, []).append(module)
        return ignored + [
            f"{text} ({names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''})"
            for text, names in noted.items()
        ]

    @property
    def tensor_names(self) -> list[str]:
        """All tensors, in file order."""
        return list(self._tensors)

    def tensor(self, name: str) -> mx.array:
        """One tensor as stored, lazy. KeyError for a name that is not in the checkpoint."""
        file = self._tensors[name].file
        # An array that is handed out leaves the cache: what holds it decides how long its memory lives.
        held = self._open.pop(file, None)
        if held is None or name not in held:
            held = cast(dict[str, mx.array], mx.load(str(self.files.path(file)), format="safetensors"))
        self._open[file] = held
        while len(self._open) > _OPEN_SHARDS:
            self._open.popitem(last=False)
        return held.pop(name)

    def read_ahead(self, name: str, *, codes: bool = True) -> None:
        """Begin to read a packed module, which is next, in MLX's thread and in that of mapped files; or all of it but
        its codes, which come first."""
        if name in self.modules:
            found = self._ahead[name] = self._arrays(self.modules[name])
            copied = []
            for array in list(found.values())[0 if codes else 1 :]:
                if (memory := placed(array)) is None:
                    copied.append(array)
                else:
                    mapped.touch(memory)
            mx.async_eval(copied)  # type: ignore[no-untyped-call]

    def _arrays(self, module: PackedModule) -> dict[str, mx.array]:
        """The tensors of a module's weight; what a CPU passes through lies in mapped memory as well."""
        arrays = {name: self.tensor(info.name) for name, info in module.weight_tensors.items()}
        passed = traits(PACKINGS[module.scheme.packing]).passed if mx.default_device() == mx.cpu else ()
        for name in map(leaf, passed):
            if name in arrays and (memory := self._memory(module.tensors[name])) is not None:
                place(arrays[name], memory)
        return arrays

    def _memory(self, info: TensorInfo) -> Callable[[], np.ndarray] | None:
        if info.nbytes < mapped.LEAST:
            return None
        if info.file not in self._mapped:
            self._mapped[info.file] = mapped.Mapped(self.files.path(info.file))
        return self._mapped[info.file].memory(info)

    def require_unchanged(self) -> None:
        """ConversionError ``source-changed`` if a file was replaced or rewritten since the checkpoint was opened."""
        now = stamps(self.files)
        changed = [name for name, stamp in self._as_opened.items() if now.get(name) != stamp]
        if changed:
            raise ConversionError(
                "source-changed",
                "was replaced or rewritten while it was being read; wait until it is complete, and try again",
                where=changed[0],
            )

    def decode(self, name: str) -> Weight:
        """The weight of a packed module, lazy; the same, with the same errors, as :func:`mlx_quant.dequantize` takes.

        Warns (QuantWarning) where the data make a label doubtful.
        """
        module = self.modules[name]
        arrays = self._ahead.pop(name, None) or self._arrays(module)
        try:
            weight = decode(module.scheme, arrays, candidates=self.candidates)
        except QuantError as error:
            raise error.at(f"{module.file}: {name}") from None
        if name not in self._remarks:
            self._note(name, remarks(module.scheme, arrays))
        return weight

    def dequantize(self, name: str, dtype: mx.Dtype | None = None) -> mx.array:
        """The dense weight [out, in] of a packed module, lazy; as :func:`mlx_quant.dequantize`."""
        return self.decode(name).dense(dtype)

    def native(self, name: str, params_dtype: mx.Dtype | None = None) -> NativeWeights:
        """A packed module in one of MLX's packed forms, lazy; as :func:`mlx_quant.to_native`."""
        return self.decode(name).native(params_dtype)

    def affine(self, name: str, params_dtype: mx.Dtype | None = None) -> AffineWeights:
        """A packed module in MLX's affine form, lazy; as :func:`mlx_quant.to_affine`."""
        return self.native(name, params_dtype).as_affine()

    def examine(self, name: str) -> Examined:
        """What scales, zero points and group index say of a module: read once, then remembered."""
        if name not in self._examined:
            weight = self.decode(name)
            parameters: dict[str, Any] = {}
            parts: dict[str, tuple[tuple[int, ...], mx.Dtype]] = {}
            try:
                found = planned(weight)
            except UnsupportedFormat as error:
                why: str | None = error.message
            else:
                why = None
                parameters = found.parameters
                parts = {leaf: (array.shape, array.dtype) for leaf, array in found.arrays.items()}
            self._examined[name] = Examined(weight.act_order, why, parameters, parts)
        return self._examined[name]

    def examine_all(self, names: Iterable[str]) -> dict[str, Examined]:
        """:meth:`examine` of several; what the next one is asked about is read meanwhile."""
        found: dict[str, Examined] = {}
        following = list(names)
        for name, ahead in zip_longest(following, following[1:]):
            if ahead is not None and ahead not in self._examined:
                self.read_ahead(ahead, codes=False)
            found[name] = self.examine(name)
        return found

    def _forget(self) -> None:
        self._examined: dict[str, Examined] = {}
        self._remarks: dict[str, list[str]] = {}

    def _note(self, module: str, texts: list[str]) -> None:
        known = {text for noted in self._remarks.values() for text in noted}
        self._remarks[module] = texts
        for text in texts:
            if text not in known:
                warnings.warn(f"{self.label}: {module}: {text}", QuantWarning, stacklevel=4)


def _refuse_bare_bytes(plain: Mapping[str, TensorInfo], *, fours: bool) -> None:
    """MalformedCheckpoint ``missing-tensor`` for small floats that no packing takes; MLX sees whole numbers.

    ``fours`` says that a weight of int8 is floats of 4 bits.
    """
    for info in plain.values():
        if info.dtype in BYTES_OF_FLOATS or (fours and info.dtype == "I8" and info.name.endswith(".weight")):
            raise MalformedCheckpoint(
                "missing-tensor",
                f"dtype {info.dtype}, but no scale lies beside it; use a checkpoint that is complete",
                where=f"{info.file}: {info.name}",
            )
