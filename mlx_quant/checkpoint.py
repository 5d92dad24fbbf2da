"""A packed checkpoint on disk or on the Hub: opened from its headers, decoded one module at a time."""

from __future__ import annotations

import os
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import mlx.core as mx

from .bits import as_words, unpack
from .config import Scheme
from .detect import Overrides, detect
from .errors import MalformedCheckpoint, QuantError, QuantWarning, UnsupportedFormat
from .files import DTYPES, Files, TensorInfo
from .formats import module_named
from .geometry import measure
from .hub import resolve
from .packed import AffineWeights, PackedWeights
from .shards import locate

_PACKED_LEAVES = ("qweight", "qzeros", "scales", "g_idx")
# Leaves of packings that are not decoded. Found beside packed modules they would be copied as if they were weights.
_FOREIGN_LEAVES = {
    "B": "AutoGPTQ's Marlin",
    "weight_packed": "compressed-tensors",
    "weight_scale": "FP8, NVFP4 or compressed-tensors",
    "weight_scale_inv": "FP8",
    "absmax": "bitsandbytes",
    "SCB": "bitsandbytes",
    "codebooks": "AQLM",
    "W_q": "HQQ",
    "trellis": "EXL3",
    "scaled_zeros": "llm-awq",
}
# Each open shard holds a file descriptor, and some systems allow 256.
_OPEN_SHARDS = 4


@dataclass(frozen=True)
class PackedModule:
    """One packed module, as its headers describe it.

    Attributes:
        name: full name, without ``.qweight``.
        scheme: the checkpoint's, with the overrides of ``dynamic`` for this module.
        out_features, in_features: shape of the dense weight.
        tensors: local name (``qweight``, ``scales``, ..., ``bias``) to header entry; they may lie in several shards.
    """

    name: str
    scheme: Scheme
    out_features: int
    in_features: int
    tensors: Mapping[str, TensorInfo]

    @property
    def dtype(self) -> mx.Dtype:
        """Dtype of the scales, and so of the dense weight unless another is asked for."""
        return self.tensors["scales"].mlx_dtype

    @property
    def file(self) -> str:
        """The shard that holds ``qweight``."""
        return self.tensors["qweight"].file


class Checkpoint:
    """A packed checkpoint. :meth:`open` reads JSON and headers only; tensors are read when they are asked for.

    Attributes:
        label: the path or repo id it was opened by.
        files: where its files are.
        config: ``config.json``.
        quantization_config: the quantisation settings, merged from every file that has some.
        sources: the files and keys they came from.
        scheme: the default :class:`Scheme`; a module's own is in ``modules``.
        modules: packed modules by name, in file order.
        plain: every other tensor by name, in file order; not the biases of packed modules.
        shards, ignored_files: safetensors files that are read, and those that belong to something else.
    """

    def __init__(self, files: Files) -> None:
        found = detect(files)
        weights = locate(files, found.quantization)
        self.files, self.label = files, files.label
        self.config, self.quantization_config = found.config, found.quantization
        self.sources, self.scheme = found.sources, found.scheme
        self.shards, self.ignored_files = weights.shards, weights.ignored
        self._tensors = weights.tensors
        for info in weights.tensors.values():
            if info.dtype not in DTYPES:
                raise UnsupportedFormat(
                    "unsupported-dtype",
                    f"dtype {info.dtype} is not decoded; supported: {', '.join(DTYPES)}",
                    where=f"{info.file}: {info.name}",
                )
        self._noted: dict[str, list[str]] = {}
        self._open: OrderedDict[str, dict[str, mx.array]] = OrderedDict()
        self.modules = _modules(weights.tensors, found.scheme, found.quantization)
        inside = {info.name for module in self.modules.values() for info in module.tensors.values()}
        self.plain = {name: info for name, info in weights.tensors.items() if name not in inside}
        if not self.modules:
            raise MalformedCheckpoint(
                "missing-tensor",
                f"{found.sources[0]} says {found.scheme.method}, but no tensor is packed; "
                "if the weights are already dense, remove the quantisation config",
                where="qweight",
            )

    @classmethod
    def open(
        cls,
        path_or_repo: str | os.PathLike[str],
        *,
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
    ) -> Checkpoint:
        """Open a checkpoint in a folder or on the Hub, without reading (or downloading) weights.

        Args:
            path_or_repo: a folder, or a Hub repo id where no such folder exists.
            revision: branch, tag or commit of a Hub repo.
            cache_dir: the Hub cache; None is huggingface_hub's own.
            local_files_only: use only what the cache holds, as ``HF_HUB_OFFLINE=1`` does.

        Raises:
            UnsupportedFormat: what the files hold is not decoded by this version.
            MalformedCheckpoint: the files contradict each other or themselves.
            ConversionError: ``hub-error``, ``missing-dependency``.
        """
        options: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir, "local_files_only": local_files_only}
        return cls(resolve(path_or_repo, **options))

    @property
    def warnings(self) -> list[str]:
        """What deserves a look: files that are ignored, and labels that the decoded data made doubtful so far."""
        ignored = [f"{name} is not part of this checkpoint and is ignored" for name in self.ignored_files]
        return ignored + [
            f"{text} ({names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''})"
            for text, names in self._noted.items()
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

    def decode(self, name: str) -> PackedWeights:
        """Codes, zero points, scales and groups of a packed module; errors as :func:`mlx_quant.dequantize`."""
        module = self.modules[name]
        arrays = {leaf: self.tensor(info.name) for leaf, info in module.tensors.items() if leaf != "bias"}
        try:
            scheme = self._scheme_by_data(module, arrays)
            return cast(PackedWeights, module_named(scheme.method).decode(scheme, arrays))
        except QuantError as error:
            raise error.at(f"{module.file}: {name}") from None

    def dequantize(self, name: str, dtype: mx.Dtype | None = None) -> mx.array:
        """The dense weight [out, in] of a packed module, lazy; as :func:`mlx_quant.dequantize`."""
        return self.decode(name).dense(dtype)

    def affine(self, name: str, params_dtype: mx.Dtype | None = None) -> AffineWeights:
        """A packed module in MLX's packed form, lazy; as :func:`mlx_quant.to_affine`."""
        return self.decode(name).affine(params_dtype)

    def _scheme_by_data(self, module: PackedModule, arrays: Mapping[str, mx.array]) -> Scheme:
        """The module's scheme, corrected where symmetric zero points contradict it, with a warning where they might.

        Symmetric weights have their zero point in the middle; stored, that is one less in ``gptq`` than in
        ``gptq_v2``. A producer that leaves ``sym`` out means true.
        """
        scheme = module.scheme
        if scheme.method != "gptq" or "qzeros" not in arrays or 8 % scheme.bits:
            return scheme
        fields = unpack(as_words(arrays["qzeros"]), scheme.bits)[:, : module.out_features]
        low, high = fields.min().item(), fields.max().item()
        middle = 1 << (scheme.bits - 1)
        labelled = middle if scheme.layout == "gptq_v2" else middle - 1
        constant = low == high and low in (middle, middle - 1)
        if constant and low != labelled and scheme.sym is False:
            self._note(
                f"sym is false, yet every zero point is stored as {low}, which symmetric weights have under another "
                f"layout than {scheme.layout!r}; decoded as labelled",
                module.name,
            )
        elif constant and low != labelled:
            self._note(
                f"labelled {scheme.layout!r}, but its symmetric zero points are stored as {low}, not {labelled}; "
                "decoded by the data",
                module.name,
            )
        elif not constant and scheme.sym:
            self._note(
                f"sym is true, yet zero points differ ({low} to {high} as stored); decoded as stored", module.name
            )
        return replace(scheme, sym=True) if constant and scheme.sym is None else scheme

    def _note(self, text: str, module: str) -> None:
        names = self._noted.setdefault(text, [])
        if not names:
            warnings.warn(f"{self.label}: {module}: {text}", QuantWarning, stacklevel=4)
        if module not in names:
            names.append(module)


def _modules(
    tensors: Mapping[str, TensorInfo], scheme: Scheme, quantization: Mapping[str, Any]
) -> dict[str, PackedModule]:
    groups: dict[str, dict[str, TensorInfo]] = {}
    for name, info in tensors.items():
        module, _, leaf = name.rpartition(".")
        if leaf in _FOREIGN_LEAVES and (leaf != "B" or f"{module}.s" in tensors):
            raise UnsupportedFormat(
                "unsupported-layout",
                f"a tensor of {_FOREIGN_LEAVES[leaf]}, which is not decoded; use a plain GPTQ or AWQ (gemm) export",
                where=f"{info.file}: {name}",
            )
        if leaf in _PACKED_LEAVES:
            groups.setdefault(module, {})[leaf] = info
    overrides = Overrides(quantization, scheme)
    return {name: _module(name, leaves, tensors, overrides.scheme(name)) for name, leaves in groups.items()}


def _module(
    name: str,
    leaves: dict[str, TensorInfo],
    tensors: Mapping[str, TensorInfo],
    scheme: Scheme,
) -> PackedModule:
    place = f"{next(iter(leaves.values())).file}: {name}"
    if name.endswith(".act") and list(leaves) == ["scales"]:
        raise UnsupportedFormat(
            "unsupported-layout", "AWQ's scaled activation has no place in MLX's model; use a GPTQ export", where=place
        )
    if f"{name}.weight" in tensors:
        raise MalformedCheckpoint(
            "unexpected-tensor", "the module is packed and dense at once", where=f"{place}.weight"
        )
    try:
        out_features, in_features = measure(scheme, leaves)
    except QuantError as error:
        raise error.at(place) from None
    if f"{name}.bias" in tensors:
        leaves["bias"] = tensors[f"{name}.bias"]
    return PackedModule(name, scheme, out_features, in_features, leaves)
