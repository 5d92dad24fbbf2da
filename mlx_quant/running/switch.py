"""mlx-lm's own loaders, made to take packed repos: switched on and off for the whole process."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import mlx.core as mx

from ..checkpoint.checkpoint import Checkpoint
from ..checkpoint.sources import claims_packed, claims_permuted
from ..conversion.plan import Target
from ..errors import ConversionError, QuantError, UnsupportedFormat
from ..files.faults import typed
from ..files.folder import Files
from ..files.hub import resolve
from .converted import Converted
from .load import Opened
from .tokenizer import load_tokenizer
from .way import Way, require

Function = Callable[..., Any]

# By these a claim to be packed turns out to be none.
_NOT_PACKED = ("not-quantized", "mlx-native")


def enable(
    *,
    target: Target = "auto",
    requantize: bool | Mapping[str, int] = False,
    dtype: mx.Dtype | str | None = None,
    params_dtype: mx.Dtype | str | None = None,
    permute: bool = True,
    candidates: bool = False,
    progress: bool = False,
) -> None:
    """Make ``mlx_lm.load`` take packed repos, in this whole process, until :func:`disable`.

    So do the other functions that mlx-lm reads repos by (``load_model``, ``load_tokenizer`` and ``_download`` of
    ``mlx_lm.utils``), and every command of mlx-lm, whether it was imported before or is later. A packed repo becomes
    what :func:`load` makes of it, with all arguments of ``mlx_lm.load``, or is refused as :func:`load` refuses it. A
    repo that does not claim to be packed is left to mlx-lm.

    Code of a packed repo runs only for a caller who passes ``trust_remote_code``, and only its tokenizer's. To split a
    packed repo over machines (``sharded_load``) is refused: convert it first.

    Args:
        target, requantize, dtype, params_dtype, permute, candidates, progress: as for :func:`load`. Enabled again, the
            last ones hold.

    Raises ConversionError ``missing-dependency`` without mlx-lm, ``bad-target``.
    """
    _switch.enable(Terms(Way(target, requantize, dtype, params_dtype, candidates, progress, permute)))


def disable() -> None:
    """Give mlx-lm its own functions back, however often it was enabled.

    Inside a block of :func:`enabled`, from whatever thread, that is when the last block ends.
    """
    _switch.disable()


@contextmanager
def enabled(
    *,
    target: Target = "auto",
    requantize: bool | Mapping[str, int] = False,
    dtype: mx.Dtype | str | None = None,
    params_dtype: mx.Dtype | str | None = None,
    permute: bool = True,
    candidates: bool = False,
    progress: bool = False,
) -> Iterator[None]:
    """:func:`enable` for a ``with`` block. Blocks nest; in all threads, the options of the innermost hold."""
    with switched(Terms(Way(target, requantize, dtype, params_dtype, candidates, progress, permute))):
        yield


@dataclass(frozen=True, eq=False)
class Terms:
    """On what terms packed repos are taken.

    Attributes:
        way: how they become models.
        code: whether a caller's ``trust_remote_code`` counts; a command of mlx-lm passes it without being told to.
        refused: called with what was asked for and the refusal, before that is raised.
    """

    way: Way
    code: bool = True
    refused: Callable[[str, QuantError], None] = lambda asked, refusal: None


@contextmanager
def switched(terms: Terms) -> Iterator[None]:
    """Packed repos taken on these terms within a block; raises as :func:`enable`."""
    _switch.begin(terms)
    try:
        yield
    finally:
        _switch.end(terms)


class _Switch:
    """Who has enabled what, and mlx-lm's functions replaced as long as anybody has."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._base: Terms | None = None
        self._blocks: list[Terms] = []
        self._replaced: list[tuple[Function, Function]] = []

    @property
    def terms(self) -> Terms | None:
        """Those in force."""
        blocks = self._blocks
        return blocks[-1] if blocks else self._base

    def enable(self, terms: Terms) -> None:
        utils = require(terms.way)
        with self._lock:
            self._base = terms
            self._settle(utils)

    def disable(self) -> None:
        with self._lock:
            self._base = None
            self._settle(None)

    def begin(self, terms: Terms) -> None:
        utils = require(terms.way)
        with self._lock:
            self._blocks = [*self._blocks, terms]
            self._settle(utils)

    def end(self, terms: Terms) -> None:
        with self._lock:
            self._blocks = [other for other in self._blocks if other is not terms]
            self._settle(None)

    def _settle(self, utils: Any) -> None:
        if self.terms is not None and not self._replaced:
            originals = {name: getattr(utils, name) for name in _OURS if hasattr(utils, name)}
            self._replaced = [(one, _replacement(one, _OURS[name])) for name, one in originals.items()]
            _exchange({id(original): replacement for original, replacement in self._replaced})
        elif self.terms is None and self._replaced:
            _exchange({id(replacement): original for original, replacement in self._replaced})
            self._replaced = []


def _exchange(functions: Mapping[int, Function]) -> None:
    """Put functions in the place of others wherever a module of mlx-lm has them, under whatever name."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "mlx_lm" and isinstance(module, ModuleType):
            for key, value in list(vars(module).items()):
                if id(value) in functions:
                    setattr(module, key, functions[id(value)])


# Whether mlx-lm's functions, as this thread calls them now, are its own.
_untouched: ContextVar[bool] = ContextVar("untouched", default=False)


@contextmanager
def _mlx_lm_as_it_is() -> Iterator[None]:
    token = _untouched.set(True)
    try:
        yield
    finally:
        _untouched.reset(token)


class _Call:
    """One call of a function of mlx-lm."""

    def __init__(self, original: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._original, self._args, self._kwargs = original, args, kwargs
        signature = inspect.signature(original)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        self._parameters, self._values = signature.parameters, bound.arguments
        self.asked = next(iter(bound.arguments.values()))

    def value(self, name: str) -> Any:
        """An argument; None for one that this mlx-lm has not."""
        return self._values.get(name)

    def passed_on(self, *, checked: bool = False) -> Any:
        """What mlx-lm makes of it; ``checked``: what it reads on the way is still looked at."""
        if checked:
            return self._original(*self._args, **self._kwargs)
        with _mlx_lm_as_it_is():
            return self._original(*self._args, **self._kwargs)

    def require(self, *honoured: str) -> None:
        """ConversionError ``bad-target`` if another argument than these is given, one of a newer mlx-lm for example."""
        for name, value in list(self._values.items())[1:]:
            default = self._parameters[name].default
            if name not in honoured and value is not default and value != default:
                text = f"{self._original.__name__} takes no {name} for a packed repo; leave it out, or convert the repo"
                raise ConversionError("bad-target", text, where=str(self.asked))


def _replacement(original: Function, ours: Callable[[Terms, _Call], Any]) -> Function:
    @functools.wraps(original)
    def replaced(*args: Any, **kwargs: Any) -> Any:
        terms = _switch.terms
        if terms is None or _untouched.get():
            return original(*args, **kwargs)
        call = _Call(original, args, kwargs)
        if not isinstance(call.asked, (str, os.PathLike)):
            return call.passed_on()
        try:
            return ours(terms, call)
        except QuantError as refusal:
            terms.refused(os.fspath(call.asked), refusal)
            raise

    return replaced


def _load(terms: Terms, call: _Call) -> Any:
    try:
        files = _packed(call.asked, call.value("revision"))
    except _Unknown as unknown:
        return _asked_of_mlx_lm(call, unknown)
    opened = _opened(files, terms, call.value("model_config"))
    if opened is None:
        return call.passed_on()
    known = ("tokenizer_config", "model_config", "adapter_path", "lazy", "return_config", "revision")
    call.require(*known, "trust_remote_code")
    trusted = {"trust_remote_code": True} if call.value("trust_remote_code") else {}
    with _mlx_lm_as_it_is():
        tokenizer = opened.tokenizer(_settings(terms, trusted | (call.value("tokenizer_config") or {})))
        options = {"adapter_path": call.value("adapter_path"), "lazy": call.value("lazy")}
        model, config = opened.model(terms.way, name=os.fspath(call.asked), **options)
    return (model, tokenizer, config) if call.value("return_config") else (model, tokenizer)


def _load_model(terms: Terms, call: _Call) -> Any:
    """A folder without its tokenizer. Weights that do not fit are refused, so also where ``strict`` is False."""
    files = _packed(Path(call.asked), None)
    opened = _opened(files, terms, call.value("model_config"))
    if opened is None:
        return call.passed_on()
    call.require("lazy", "strict", "model_config", "trust_remote_code")
    with _mlx_lm_as_it_is():
        return opened.model(terms.way, adapter_path=None, lazy=call.value("lazy"), name=os.fspath(call.asked))


def _load_tokenizer(terms: Terms, call: _Call) -> Any:
    try:
        files = _packed(call.asked, None)
    except _Unknown as unknown:
        return _asked_of_mlx_lm(call, unknown)
    if files is None:
        return call.passed_on()
    call.require("tokenizer_config_extra", "eos_token_ids")
    with _mlx_lm_as_it_is():
        settings = _settings(terms, call.value("tokenizer_config_extra") or {})
        return load_tokenizer(files, settings, call.value("eos_token_ids"))


def _download(terms: Terms, call: _Call) -> Any:
    """The folder of a Hub repo: of a packed one, what its headers say is looked at before weights are fetched."""
    if os.path.exists(call.asked):
        return call.passed_on()
    try:
        files = _packed(call.asked, call.value("revision"))
    except _Unknown as unknown:
        return _asked_of_mlx_lm(call, unknown)
    checkpoint = _checkpoint(files, terms)
    if checkpoint is None:
        return call.passed_on()
    if call.value("allow_patterns") is None:
        checkpoint.files.fetch(checkpoint.shards)
    return checkpoint.files.folder


def _hf_repo_to_path(terms: Terms, call: _Call) -> Any:
    """Where the cache holds a repo; of a packed one it never holds all that mlx-lm would have fetched."""
    try:
        folder = resolve(call.asked, local_files_only=True).folder
    except QuantError:
        return call.passed_on()
    return folder if claims_packed(folder) else call.passed_on()


def _sharded_load(terms: Terms, call: _Call) -> Any:
    try:
        files = _packed(call.asked, None)
    except _Unknown as unknown:
        return _asked_of_mlx_lm(call, unknown)
    if files is None:
        return call.passed_on()
    text = "mlx-lm splits a repo by its files, which here are packed; convert it, and load the folder on all machines"
    raise ConversionError("bad-target", text, where=os.fspath(call.asked))


_OURS: dict[str, Callable[[Terms, _Call], Any]] = {
    "load": _load,
    "load_model": _load_model,
    "load_tokenizer": _load_tokenizer,
    "_download": _download,
    "hf_repo_to_path": _hf_repo_to_path,
    "sharded_load": _sharded_load,
}


class _Unknown(Exception):
    """Nobody could be asked whether a repo is packed; ``refusal`` says why."""

    def __init__(self, refusal: QuantError) -> None:
        super().__init__(refusal)
        self.refusal = refusal


def _asked_of_mlx_lm(call: _Call, unknown: _Unknown) -> Any:
    """What mlx-lm finds all the same, in its cache or elsewhere; that is looked at as it is read."""
    try:
        return call.passed_on(checked=True)
    except OSError as error:
        raise unknown.refusal from error


def _packed(asked: str | os.PathLike[str], revision: str | None) -> Files | None:
    """The files of a repo that claims to be packed; None for another.

    Raises as :func:`resolve` for a packed folder, and _Unknown.
    """
    folder = Path(asked).expanduser()
    if os.path.exists(folder):
        return resolve(asked) if claims_packed(folder) or claims_permuted(folder) else None
    if os.getenv("MLXLM_USE_MODELSCOPE", "False").lower() == "true":
        raise _Unknown(ConversionError("hub-error", "no such folder, and not on ModelScope", where=os.fspath(asked)))
    try:
        files = resolve(asked, revision=revision)
        return files if claims_packed(files.folder) or claims_permuted(files.folder) else None
    except QuantError as refusal:
        raise _Unknown(refusal) from refusal


@typed
def _checkpoint(files: Files | None, terms: Terms) -> Checkpoint | None:
    if files is None:
        return None
    try:
        return Checkpoint(files, candidates=terms.way.candidates)
    except UnsupportedFormat as refusal:
        if refusal.code in _NOT_PACKED:
            return None
        raise


@typed
def _opened(files: Files | None, terms: Terms, model_config: dict[str, Any] | None) -> Opened | Converted | None:
    if files is not None and claims_permuted(files.folder):
        return Converted(files, model_config)
    checkpoint = _checkpoint(files, terms)
    return None if checkpoint is None else Opened(checkpoint, model_config)


def _settings(terms: Terms, tokenizer_config: Mapping[str, Any]) -> dict[str, Any]:
    return dict(tokenizer_config) | ({} if terms.code else {"trust_remote_code": False})


_switch = _Switch()
