"""A Hub repo of which only JSON and safetensors headers are read, within bounds; for looking at many of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    get_session,
    hf_raise_for_status,
)

from ..errors import MalformedCheckpoint
from .documents import limit_of
from .folder import Header, TensorInfo, checked_name, refuse_sizes, texts
from .hub import refuse_spans
from .patience import patiently

# huggingface_hub asks for as much: it found 97 % of all headers within.
_FIRST = 100_000


@dataclass(frozen=True)
class Bounds:
    """What one repo may cost. The largest that are known (160 shards, headers of 15 MB in all) stay far below.

    Attributes:
        files: in the repo.
        headers: safetensors files whose headers are read.
        header: bytes of one header.
        bytes: read in all.
        seconds: that all of it may take, waiting for the Hub left out.
        timeout: seconds without a byte.
    """

    files: int = 100_000
    headers: int = 1_000
    header: int = 25_000_000
    bytes: int = 256 << 20
    seconds: float = 600.0
    timeout: float = 30.0


class HubHeaders:
    """One revision of a Hub repo, as :class:`Files`; weights cannot be fetched.

    Whatever goes wrong with the Hub is raised as huggingface_hub raises it, once patience is at its end.

    Attributes:
        commit: which one the revision meant; all files are of it.
        sizes: bytes by file name, None where the Hub does not say.
        requests, received: how often the Hub was asked for a file, and bytes that it sent of them.
    """

    def __init__(
        self,
        repo_id: str,
        revision: str | None,
        scratch: Path,
        *,
        bounds: Bounds | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.label = repo_id
        self.repo_id: str | None = repo_id
        self.requests = self.received = 0
        self._bounds, self._scratch, self._alive = bounds or Bounds(), scratch, alive
        self._api, self._paths, self._headers = HfApi(), dict[str, Path](), dict[str, Header]()
        self._spent = 0.0
        timeout = self._bounds.timeout
        info = patiently(
            lambda: self._api.model_info(repo_id, revision=revision, files_metadata=True, timeout=timeout), alive=alive
        )
        self.commit = str(info.sha)
        self.sizes: dict[str, int | None] = {found.rfilename: found.size for found in info.siblings or ()}
        self.names = sorted(self.sizes)
        if len(self.names) > self._bounds.files:
            self._refuse("too-large", f"{len(self.names)} files, at most {self._bounds.files} are looked at", repo_id)

    @property
    def folder(self) -> Path:
        return self._scratch

    def path(self, name: str) -> Path:
        """A copy of a JSON file; MalformedCheckpoint ``too-large`` beyond what is read of a file of its name."""
        self._require(name)
        if name not in self._paths:
            limit = limit_of(name)
            data = self._read(name, 0, limit + 1)
            if len(data) > limit:
                self._refuse("too-large", f"more than {limit} bytes", name)
            # Names are the repo's own, and could mean anything to a file system.
            self._paths[name] = self._scratch / f"{len(self._paths)}.json"
            self._paths[name].write_bytes(data)
        return self._paths[name]

    def header(self, name: str) -> Header:
        """As :meth:`Files.header`; MalformedCheckpoint also ``too-large``."""
        self._require(name)
        if name not in self._headers:
            if len(self._headers) >= self._bounds.headers:
                self._refuse("too-large", f"more than {self._bounds.headers} safetensors files", name)
            self._headers[name] = self._header(name)
        return self._headers[name]

    def fetch(self, names: Iterable[str]) -> None:
        raise NotImplementedError(f"weights of {self.label} are not fetched here")

    def _header(self, name: str) -> Header:
        data = self._read(name, 0, _FIRST)
        size = int.from_bytes(data[:8], "little")
        if len(data) < 8 or not 2 <= size <= self._bounds.header:
            said = f"no safetensors file: {len(data)} bytes, a header of {size}, at most {self._bounds.header} are read"
            self._refuse("truncated-file", said, name)
        text = data[8 : 8 + size]
        if len(text) < size:
            text += self._read(name, 8 + len(text), size - len(text))
        if len(text) < size:
            self._refuse("truncated-file", f"a header of {size} bytes, of which {len(text)} are there", name)
        try:
            infos, spans = _parsed(text, name)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, MemoryError) as error:
            raise MalformedCheckpoint("truncated-file", f"no safetensors header ({error!r})", where=name) from error
        refuse_sizes(infos, name)
        refuse_spans(infos, spans, self.sizes[name])
        return infos

    def _read(self, name: str, first: int, count: int) -> bytes:
        """At most ``count`` bytes from ``first``, however many are sent."""
        url = hf_hub_url(self.label, name, revision=self.commit, endpoint=self._api.endpoint)
        # Packed on the way, a few bytes could become many here.
        asked = build_hf_headers() | {"range": f"bytes={first}-{first + count - 1}", "accept-encoding": "identity"}
        return patiently(lambda: self._streamed(url, asked, name, first, count), alive=self._alive)

    def _streamed(self, url: str, asked: dict[str, str], name: str, first: int, count: int) -> bytes:
        self._check(name, 0)
        begun, sent = time.monotonic(), 0
        data = bytearray()
        self.requests += 1
        try:
            with get_session().stream("GET", url, headers=asked, timeout=self._bounds.timeout) as response:
                if response.status_code == 416:
                    return b""
                if response.status_code >= 400:
                    _heard(response)
                hf_raise_for_status(response)
                if first and response.status_code != 206:
                    self._refuse("truncated-file", "the server sends no part of it, only the whole file", name)
                for piece in response.iter_raw():
                    data += piece[: count - len(data)]
                    sent += len(piece)
                    self.received += len(piece)
                    self._check(name, time.monotonic() - begun)
                    # A connection whose answer was read to its end is used again.
                    if sent > count:
                        break
        finally:
            self._spent += time.monotonic() - begun
            self._alive()
        return bytes(data)

    def _check(self, name: str, seconds: float) -> None:
        self._alive()
        if self.received > self._bounds.bytes:
            self._refuse("too-large", f"more than {self._bounds.bytes} bytes of JSON and headers", name)
        if self._spent + seconds > self._bounds.seconds:
            self._refuse("too-large", f"headers that take more than {self._bounds.seconds:.0f} seconds to come", name)

    def _require(self, name: str) -> None:
        if checked_name(name) not in self.sizes:
            self._refuse("missing-file", f"not in the repo {self.label}", name)

    def _refuse(self, code: str, text: str, where: str) -> NoReturn:
        raise MalformedCheckpoint(code, text, where=where)


def _heard(response: Any) -> None:
    """Read what little a refusal says; huggingface_hub puts it into the message, and a stream holds nothing yet."""
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length[:9]) < 100_000:
        response.read()


def _parsed(text: bytes, name: str) -> tuple[Header, dict[str, tuple[int, ...]]]:
    infos = Header()
    spans: dict[str, tuple[int, ...]] = {}
    for key, part in json.loads(text).items():
        if key == "__metadata__":
            infos.said = texts(part)
            continue
        numbers = [*part["shape"], *part["data_offsets"]]
        if len(part["data_offsets"]) != 2 or not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
            raise ValueError(f"shape {part['shape']!r:.100} in bytes {part['data_offsets']!r:.100}")
        infos[key] = TensorInfo(key, str(part["dtype"]), tuple(part["shape"]), name)
        spans[key] = tuple(part["data_offsets"])
    return infos, spans
