"""Checkpoints on the Hugging Face Hub: small files at once, headers by range request, weights when they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from ..errors import ConversionError, MalformedCheckpoint
from .folder import DTYPES, Files, Folder, Header, TensorInfo, checked_name, read_header, refuse_sizes, texts

Result = TypeVar("Result")

# What a loader needs beside the weights. Everything else in a repo (code, other formats, images, logs) stays there.
METADATA = (
    "*.json",
    "*.jinja",
    "*.txt",
    "*.model",
    "*.tiktoken",
    "LICENSE*",
    "NOTICE*",
)


class HubRepo:
    """One revision of a Hub repo. Its commit is resolved once, so that all files belong together."""

    def __init__(self, repo_id: str, revision: str | None, cache_dir: str | os.PathLike[str] | None) -> None:
        from huggingface_hub import HfApi

        self.label = repo_id
        self.repo_id: str | None = repo_id
        self._cache_dir = None if cache_dir is None else Path(cache_dir)
        self._api = HfApi()
        # By the name of the branch, so that the cache knows it again without a network; all the rest by its commit.
        self.commit = self._snapshot(list(METADATA), revision).name
        info = _asked(repo_id, lambda: self._api.model_info(repo_id, revision=self.commit, files_metadata=True))
        self._sizes = {sibling.rfilename: sibling.size for sibling in info.siblings or ()}
        self.names = sorted(self._sizes)

    @property
    def folder(self) -> Path:
        """The snapshot in the cache; it holds the small files, and of the weights what was fetched."""
        return self.path("config.json").parent

    def path(self, name: str) -> Path:
        from huggingface_hub import hf_hub_download

        if checked_name(name) not in self.names:
            raise MalformedCheckpoint("missing-file", f"not in the repo {self.label}", where=name)
        found = _asked(
            self.label,
            lambda: hf_hub_download(self.label, name, revision=self.commit, cache_dir=self._cache_dir),
        )
        return Path(str(found))

    def header(self, name: str) -> Header:
        from huggingface_hub import try_to_load_from_cache

        if checked_name(name) not in self.names:
            raise MalformedCheckpoint("missing-file", f"not in the repo {self.label}", where=name)
        cached = try_to_load_from_cache(self.label, name, cache_dir=self._cache_dir, revision=self.commit)
        if isinstance(cached, str):
            return read_header(Path(cached), name)
        found = _asked(
            self.label, lambda: self._api.parse_safetensors_file_metadata(self.label, name, revision=self.commit)
        )
        try:
            spans = {key: tuple(map(int, part.data_offsets)) for key, part in found.tensors.items()}
            infos = Header(
                (key, TensorInfo(key, str(part.dtype), tuple(map(int, part.shape)), name))
                for key, part in found.tensors.items()
            )
            infos.said = texts(found.metadata)
        except (TypeError, ValueError, OverflowError) as error:
            raise MalformedCheckpoint("truncated-file", f"no safetensors header ({error})", where=name) from error
        refuse_sizes(infos, name)
        refuse_spans(infos, spans, self._sizes[name])
        return infos

    def fetch(self, names: Iterable[str]) -> None:
        wanted = [checked_name(name) for name in names]
        if absent := [name for name in wanted if name not in self.names]:
            raise MalformedCheckpoint("missing-file", f"not in the repo {self.label}", where=absent[0])
        self._snapshot(wanted, self.commit)
        for name in wanted:
            if name.endswith(".safetensors"):
                read_header(self.path(name), name)  # the header was believed before there was a file to measure

    def _snapshot(self, patterns: list[str], revision: str | None) -> Path:
        from huggingface_hub import snapshot_download

        where: dict[str, Any] = {"revision": revision, "cache_dir": self._cache_dir, "allow_patterns": patterns}
        return Path(str(_asked(self.label, lambda: snapshot_download(self.label, **where))))


def refuse_spans(infos: Mapping[str, TensorInfo], spans: Mapping[str, tuple[int, ...]], size: int | None) -> None:
    """A header may claim any shape: MalformedCheckpoint ``truncated-file`` unless its tensors fill the file."""
    end = 0
    for key, (first, last) in sorted(spans.items(), key=lambda item: item[1]):
        info = infos[key]
        if first != end or last < first or (info.dtype in DTYPES and last - first != info.nbytes):
            text = f"shape {list(info.shape)} and bytes {first} to {last} disagree; the file is damaged"
            raise MalformedCheckpoint("truncated-file", text, where=f"{info.file}: {key}")
        end = last
    if infos and size is not None and not end < size < end + (100 << 20) + 8:
        name = next(iter(infos.values())).file
        text = f"its header claims {end} bytes of tensors, the file has {size}; the upload is not whole"
        raise MalformedCheckpoint("truncated-file", text, where=name)


def resolve(
    path_or_repo: str | os.PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> Files:
    """A local folder if there is one at ``path_or_repo``, else the Hub repo of that name.

    With ``local_files_only``, or ``HF_HUB_OFFLINE`` set, the Hub repo is what the cache holds of it.

    Raises:
        MalformedCheckpoint: ``missing-file``, neither a folder nor the form of a repo id.
        ConversionError: ``hub-error`` (no such repo or revision, no access, no network, not in the cache),
            ``missing-dependency`` (huggingface_hub is not installed).
    """
    text = os.fspath(path_or_repo)
    looks_local = isinstance(path_or_repo, Path) or text.startswith((".", "/", "~")) or text.count("/") != 1
    if os.path.exists(Path(text).expanduser()) or looks_local:
        return Folder(path_or_repo, cache=_cache(cache_dir))
    try:
        from huggingface_hub import constants, snapshot_download
    except ImportError as error:
        raise ConversionError(
            "missing-dependency", "no such folder; to load from the Hub, install huggingface_hub", where=text
        ) from error
    if not (local_files_only or constants.HF_HUB_OFFLINE):
        return HubRepo(text, revision, cache_dir)
    where: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir, "local_files_only": True}
    # Only config.json is asked for: naming more would make a cache filled by another program look incomplete.
    snapshot = str(_asked(text, lambda: snapshot_download(text, allow_patterns=["config.json"], **where)))
    found = Folder(snapshot, cache=_cache(cache_dir))
    found.label = found.repo_id = text
    return found


def _cache(cache_dir: str | os.PathLike[str] | None) -> Path | None:
    """The Hub's cache; None without huggingface_hub."""
    if cache_dir is not None:
        return Path(cache_dir)
    try:
        from huggingface_hub import constants
    except ImportError:
        return None
    return Path(constants.HF_HUB_CACHE)


def _asked(repo_id: str, question: Callable[[], Result]) -> Result:
    """The Hub's answer, or its refusal as ours. The library's messages already say what to do."""
    from huggingface_hub import errors

    # What the library's HTTP client raises; which client that is has changed twice.
    http_error = cast(type[Exception], errors.HfHubHTTPError.__bases__[0])
    try:
        return question()
    except (errors.SafetensorsParsingError, errors.NotASafetensorsRepoError) as error:
        raise MalformedCheckpoint("truncated-file", str(error), where=repo_id) from error
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        # What the library makes of a header that is JSON of another kind.
        raise MalformedCheckpoint("truncated-file", f"no safetensors header ({error!r})", where=repo_id) from error
    except (http_error, errors.HFValidationError, errors.EntryNotFoundError, OSError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ConversionError("hub-error", " ".join(lines) or type(error).__name__, where=repo_id) from error
