"""What a Hub repo is, told from its configuration and headers; a part at a time, so that a refusal keeps the rest."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..dialects import fields
from ..dialects.registry import method_of
from ..errors import QuantError, printable
from ..files.folder import read_json
from ..files.headers import Bounds, HubHeaders
from ..files.shards import locate
from .checkpoint import Checkpoint
from .modules import PackedModule
from .outline import Outline
from .sources import detect, refuse_native, sources_of

# Of one checkpoint, and of one tensor: enough for any that a producer makes.
_MOST_KINDS = 64
_MOST_VALUES = 1 << 22
_LONGEST = 200
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

Facts = dict[str, Any]


def survey(
    repo_id: str,
    revision: str | None = None,
    *,
    bounds: Bounds | None = None,
    alive: Callable[[], None] = lambda: None,
) -> Iterator[Facts]:
    """Facts of a repo by name, a few at a time; those that come later may replace earlier ones.

    First what is listed (``commit``, ``files``, ``weight_bytes``, ``family``), then what is configured, then what the
    headers hold. ``kinds`` are modules that are alike: ``module`` names one, ``count`` says how many, ``config`` is the
    checkpoint's, and ``tensors`` has ``dtype``, ``shape`` and, of small tensors that are not codes, ``values``, which
    are stand-ins. ``requests`` and ``received`` are what it took so far. Text is printable and short.

    Args:
        alive: called between requests and while the Hub is waited for.

    Raises: as :meth:`Checkpoint.open`, but what the Hub refuses is raised as huggingface_hub has it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        files = HubHeaders(repo_id, revision, Path(scratch), bounds=bounds, alive=alive)
        try:
            for facts in _facts(files):
                yield facts | {"requests": files.requests, "received": files.received}
        except Exception:
            yield {"requests": files.requests, "received": files.received}
            raise


def _facts(files: HubHeaders) -> Iterator[Facts]:
    yield _listed(files)
    config = read_json(files, "config.json")
    if config is not None:
        yield _said(config)
        refuse_native(config)
        # The first of them wins.
        for source in reversed(sources_of(files, config).values()):
            yield _claimed(source)
    found = detect(files)
    scheme = found.with_headers(lambda: locate(files, found.quantization).said).scheme
    producer, version = scheme.producer or (None, ())
    yield {
        "family": scheme.method,
        "packings": [scheme.packing],
        "bits": [scheme.bits],
        "group_sizes": [scheme.group_size],
        "layout": _text(scheme.layout),
        "sym": scheme.sym,
        "act_order": scheme.desc_act,
    } | ({"producer": _text(producer), "producer_version": ".".join(map(str, version))} if producer else {})
    checkpoint = Checkpoint(files)
    modules = checkpoint.modules.values()
    yield {
        "packings": sorted({module.scheme.packing for module in modules}),
        "bits": sorted({module.scheme.bits for module in modules}),
        "group_sizes": sorted({module.scheme.group_size for module in modules}),
        "dtypes": sorted({str(module.dtype).rpartition(".")[2] for module in modules}),
        "modules": len(modules),
        "tensors": len(checkpoint.tensor_names),
        "shards": len(checkpoint.shards),
        "kinds": list(_kinds(checkpoint)),
    }


def _listed(files: HubHeaders) -> Facts:
    names = files.names
    weights = [name for name in names if name.endswith(".safetensors")]
    family = "dense" if weights else "gguf" if any(name.endswith(".gguf") for name in names) else "none"
    if "adapter_config.json" in names and "config.json" not in names:
        family = "adapters"
    elif family == "none" and any(name.endswith(_PICKLED) for name in names):
        family = "pickles"
    return {
        "commit": files.commit,
        "files": len(names),
        "weight_bytes": min(sum(files.sizes[name] or 0 for name in weights), 2**62),
        "family": family,
    }


def _said(config: Mapping[str, Any]) -> Facts:
    found: Facts = {"model_type": _text(config.get("model_type"))}
    named = config.get("architectures")
    if isinstance(named, list) and named:
        found["architecture"] = _text(named[0])
    native = config.get("quantization")
    if isinstance(native, Mapping):
        found |= _claimed(native) | {"family": "mlx"}
    return found


def _claimed(config: Mapping[str, Any]) -> Facts:
    """What a config says of itself, believed where it is of the right type: it may be one that is refused."""
    found: Facts = {"family": "unknown"}
    with suppress(QuantError):
        found["family"] = _text(method_of(config))
    if producer := fields.producer(config):
        found |= {"producer": _text(producer[0]), "producer_version": ".".join(map(str, producer[1]))}
    for name, column in (("bits", "bits"), ("group_size", "group_sizes")):
        with suppress(QuantError):
            value = fields.one(config, name)
            if type(value) is int and abs(value) < 2**31:
                found[column] = [value]
    return found


def _kinds(checkpoint: Checkpoint) -> Iterator[Facts]:
    found: Counter[Any] = Counter()
    first: dict[Any, PackedModule] = {}
    for module in checkpoint.modules.values():
        headers = tuple((leaf, info.dtype, info.shape) for leaf, info in module.weight_tensors.items())
        key = (module.scheme, headers)
        found[key] += 1
        first.setdefault(key, module)
    outline = Outline(checkpoint)
    for key, count in found.most_common(_MOST_KINDS):
        module, config = first[key], dict(checkpoint.quantization_config)
        yield {"module": module.name, "count": count, "config": config, "tensors": _tensors(outline, module)}


def _tensors(outline: Outline, module: PackedModule) -> dict[str, Facts]:
    found: dict[str, Facts] = {}
    for place, (leaf, info) in enumerate(module.weight_tensors.items()):
        small = place and info.size <= _MOST_VALUES
        found[leaf] = {
            "dtype": info.dtype,
            "shape": info.shape,
            "values": outline.tensor(info.name) if small else None,
        }
    return found


def _text(value: object) -> str | None:
    return printable(value[:_LONGEST]) if isinstance(value, str) else None
