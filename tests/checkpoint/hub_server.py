"""A Hub on 127.0.0.1: the part of the Hugging Face HTTP API that huggingface_hub 2.4 uses to read model repos.

As on the real Hub, large files are redirected to another origin (here: another port) that serves them by digest, a
missing repo and a gated one are told apart by ``X-Error-Code``, and the tree listing comes in pages. Every request is
logged with the number of body bytes that were sent.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

_LARGE = (".safetensors", ".bin", ".pt", ".gguf")
_PAGE = 5


@dataclass(frozen=True)
class Request:
    """One answered request: ``sent`` counts body bytes, ``span`` is its Range header."""

    method: str
    path: str
    span: str | None
    status: int
    sent: int
    authorized: bool


@dataclass
class Repo:
    """Commits of a repo, each a mapping from file name to content, and the refs that point to them.

    Attributes:
        access: ``"open"``, ``"gated"`` (401 without a token, 403 with one), or ``"token"`` (any token will do).
        cut: file name to the number of bytes after which the connection is dropped.
        whole: files that are always sent whole, whatever part is asked for.
    """

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    access: str = "open"
    cut: dict[str, int] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()

    def commit(self, files: dict[str, bytes], ref: str = "main") -> str:
        digest = hashlib.sha1(
            repr(sorted((name, hashlib.sha1(data).hexdigest()) for name, data in files.items())).encode()
        )
        commit = digest.hexdigest()
        self.commits[commit], self.refs[ref] = files, commit
        return commit


class Hub:
    """``with Hub() as hub``: serves ``hub.repos`` at ``hub.endpoint`` and logs into ``hub.log``.

    Attributes:
        fails: given the path of a request, the status and headers that it fails with, or None.
        latency: seconds that every answer takes.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.log: list[Request] = []
        self.fails: Callable[[str], tuple[int, dict[str, str]] | None] = lambda path: None
        self.latency = 0.0
        self._blobs: dict[str, tuple[Repo, bytes]] = {}
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, role)) for role in ("hub", "cdn")]
        self.endpoint, self.cdn = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)

    def __enter__(self) -> Hub:
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def add(self, repo_id: str, files: dict[str, bytes], ref: str = "main", **options: Any) -> str:
        """Commit ``files`` to ``ref`` of a repo, made if need be; returns the commit."""
        repo = self.repos.setdefault(repo_id, Repo())
        for name, value in options.items():
            setattr(repo, name, value)
        self._blobs |= {_sha256(data): (repo, data) for name, data in files.items() if name.endswith(_LARGE)}
        return repo.commit(files, ref)

    def blob(self, digest: str, name: str) -> tuple[bytes, int | None, bool]:
        """A large file, where its connection is dropped, and whether it is only sent whole."""
        if digest not in self._blobs:
            raise _Refusal(404, "NotFound", name)
        repo, data = self._blobs[digest]
        return data, repo.cut.get(name), name in repo.whole

    def sent(self, suffix: str) -> int:
        """Body bytes sent of files whose name ends so, over all GET requests."""
        return sum(entry.sent for entry in self.log if entry.path.endswith(suffix) and entry.method == "GET")

    def fetched(self) -> set[str]:
        """Names of files of which at least one byte was sent."""
        return {entry.path.rpartition("/")[2] for entry in self.log if "/api/" not in entry.path and entry.sent}


def files_of(folder: Path) -> dict[str, bytes]:
    """A folder's files as :meth:`Hub.add` takes them."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@lru_cache(maxsize=10_000)
def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class _Refusal(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, {"X-Error-Code": code, "X-Error-Message": message}


def _handler(hub: Hub, role: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            """Kept in ``hub.log`` instead."""

        def _answer(self) -> None:
            url = urlsplit(self.path)
            path, query = unquote(url.path), parse_qs(url.query)
            time.sleep(hub.latency)
            try:
                if failure := hub.fails(path):
                    return self._send(failure[0], b"later", failure[1])
                if role == "cdn":
                    _, _, digest, name = path.split("/", 3)
                    data, cut, whole = hub.blob(digest, name)
                    return self._content(data, cut, {}, whole=whole)
                if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
                    return self._json(self._info(match[1], match[2] or "main", sizes="blobs" in query))
                if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path):
                    return self._tree(match[1], match[2], int(query.get("cursor", ["0"])[0]))
                if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                    return self._resolve(*match.groups())
                raise _Refusal(404, "NotFound", f"no route {path}")
            except _Refusal as error:
                self._send(error.status, str(error).encode(), error.headers)

        def _files(self, repo_id: str, revision: str) -> tuple[Repo, str, dict[str, bytes]]:
            repo, authorized = hub.repos.get(repo_id), "authorization" in self.headers
            if repo is None or (repo.access == "token" and not authorized):
                # The Hub does not say which it is to somebody it does not know.
                raise _Refusal(404 if authorized else 401, "RepoNotFound", "Repository not found")
            commit = repo.refs.get(revision, revision)
            if commit not in repo.commits:
                raise _Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return repo, commit, repo.commits[commit]

        def _info(self, repo_id: str, revision: str, *, sizes: bool) -> dict[str, Any]:
            repo, commit, files = self._files(repo_id, revision)
            siblings: list[dict[str, Any]] = [{"rfilename": name} for name in sorted(files)]
            for sibling in siblings if sizes else ():
                sibling["size"] = len(files[sibling["rfilename"]])
            gated = "manual" if repo.access == "gated" else False
            listed = {
                "id": repo_id,
                "modelId": repo_id,
                "sha": commit,
                "siblings": siblings,
                "tags": [],
                "downloads": 0,
            }
            return listed | {"private": False, "gated": gated, "disabled": False, "likes": 0}

        def _tree(self, repo_id: str, revision: str, start: int) -> None:
            _, _, files = self._files(repo_id, revision)
            names = sorted(files)
            entries = [self._entry(name, files[name]) for name in names[start : start + _PAGE]]
            following = f"{hub.endpoint}/api/models/{repo_id}/tree/{revision}?recursive=true&cursor={start + _PAGE}"
            self._json(entries, {"Link": f'<{following}>; rel="next"'} if start + _PAGE < len(names) else {})

        def _entry(self, name: str, data: bytes) -> dict[str, Any]:
            entry = {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            if name.endswith(_LARGE):
                entry["lfs"] = {"oid": _sha256(data), "size": len(data), "pointerSize": 134}
            return entry

        def _resolve(self, repo_id: str, revision: str, name: str) -> None:
            repo, commit, files = self._files(repo_id, revision)
            if repo.access == "gated":
                status = 403 if "authorization" in self.headers else 401
                raise _Refusal(status, "GatedRepo", f"Access to model {repo_id} is restricted")
            if name not in files:
                raise _Refusal(404, "EntryNotFound", "Entry not found")
            data, headers = files[name], {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
            if not name.endswith(_LARGE):
                return self._content(data, None, headers | {"ETag": f'"{hashlib.sha1(data).hexdigest()}"'})
            digest = _sha256(data)
            headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data))}
            self._send(302, b"", headers | {"Location": f"{hub.cdn}/blobs/{digest}/{quote(name)}"})

        def _content(self, data: bytes, cut: int | None, headers: dict[str, str], *, whole: bool = False) -> None:
            """The whole file or the Range asked for; with ``cut``, only so many bytes of what was announced."""
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
            if not match or whole:
                return self._send(200, data, headers, cut)
            first, last = int(match[1]), min(int(match[2] or len(data) - 1), len(data) - 1)
            if first >= len(data):
                return self._send(416, b"", headers | {"Content-Range": f"bytes */{len(data)}"})
            described = headers | {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
            self._send(206, data[first : last + 1], described, None if cut is None else max(0, cut - first))

        def _json(self, value: Any, headers: dict[str, str] | None = None) -> None:
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"} | (headers or {}))

        def _send(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            sent = b"" if self.command == "HEAD" else body[:cut]
            span, authorized = self.headers.get("range"), "authorization" in self.headers
            hub.log.append(Request(self.command, unquote(self.path), span, status, len(sent), authorized))
            self.wfile.write(sent)
            self.close_connection = self.close_connection or (len(sent) < len(body) != 0 and self.command != "HEAD")

    return Handler
