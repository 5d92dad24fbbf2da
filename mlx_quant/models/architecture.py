"""What mlx-lm's model class for a config expects, asked of the class itself: built lazily, no weight is allocated."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, cast

import mlx.core as mx

from ..errors import ConversionError, MalformedCheckpoint, UnsupportedFormat
from ..weights.native import PERMUTATION
from .arrivals import Arrival, arrivals
from .moves import Marked, Origin, unevaluated

Shapes = Mapping[str, tuple[tuple[int, ...], mx.Dtype]]
# For building a model, of which no weight is allocated: the largest take a tenth of one.
_SECONDS = 10.0


@dataclass(frozen=True)
class Fit:
    """How a set of tensors fits a model, after the model's own renaming.

    Attributes:
        extra: tensors that the model has no parameter for.
        missing: parameters that no tensor fills.
        misshapen: parameter to (shape given, shape expected).
        marked, arrays: the stand-ins of the tensors, and what the model made of them.
    """

    extra: tuple[str, ...]
    missing: tuple[str, ...]
    misshapen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    marked: Marked
    arrays: Mapping[str, mx.array]

    def made_from(self, names: Iterable[str]) -> set[str]:
        """The tensors that these arrays are made from."""
        return {self.marked.names[tensor] for name in names for tensor in Origin(self.arrays[name]).tensors}

    def arrivals(self, modules: Mapping[str, Shapes]) -> dict[str, Arrival]:
        """What becomes of modules, by name; each is given with its tensors."""
        owners = {name: module for module, shapes in modules.items() for name in shapes}
        return arrivals(self.marked, self.arrays, owners)


def mlx_lm_utils() -> Any:
    """``mlx_lm.utils``, or None without mlx-lm.

    Raises ConversionError ``missing-dependency`` where it is installed and does not start. It sets the number of open
    files to 2,048 of at most 4,096 as it is imported, which a lower hard limit of the process forbids.
    """
    try:
        from mlx_lm import utils
    except ImportError:
        return None
    except (ValueError, OSError) as error:
        text = f"mlx-lm does not start here ({error}); it wants room for 4096 open files: raise ulimit -Hn"
        raise ConversionError("missing-dependency", text) from error
    return utils


class Architecture:
    """The model of mlx-lm that a config describes.

    Attributes:
        config: what it is the model of.
        name: ``model_type`` of the config.
        parameters: name to shape, under mlx-lm's names.
    """

    def __init__(self, config: Mapping[str, Any], build: Callable[[], Any]) -> None:
        self.config, self.name, self._build = dict(config), str(config["model_type"]), build
        self._model = build()
        self.parameters = _parameters(self._model)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Architecture | None:
        """The architecture of a ``config.json``; None without mlx-lm, or where mlx-lm has no such model.

        Raises UnsupportedFormat ``unsupported-architecture`` when mlx-lm has the model but not for this config,
        MalformedCheckpoint ``bad-config-value`` when there would be no end to building it, and as :func:`mlx_lm_utils`.
        """
        if "model_type" not in config or config.get("model_file") is not None:
            return None
        utils = mlx_lm_utils()
        if utils is None:
            return None
        try:
            model_class, args_class = utils._get_classes(config=dict(config))
        except (ImportError, ValueError, AttributeError):  # of a module that holds no model
            return None
        name = str(config["model_type"])
        try:
            # Some classes write into what they are given.
            with _clocked(_SECONDS):
                arguments = args_class.from_dict(copy.deepcopy(dict(config)))
                return cls(config, lambda: model_class(copy.deepcopy(arguments)))
        except _Late as late:
            text = f"counts that mlx-lm's {name} is still building from after {_SECONDS:g} s; correct them"
            raise MalformedCheckpoint("bad-config-value", text, where="config.json") from late
        except Exception as error:
            raise _unfit(name, f"does not take this config.json: {error!r}") from error

    def fit(self, tensors: Shapes) -> Fit:
        """Whether ``tensors`` (name to shape and dtype) are what the model loads, no more and no less.

        Quantised modules are given as mlx-lm wants them: ``weight``, ``scales``, ``biases``. The model is a new one
        each time, because some change as they map tensors: they drop an output head that is tied, for one.
        """
        model, marked = self._build(), Marked(tensors)
        try:
            with unevaluated():
                arrays = model.sanitize(dict(marked.arrays)) if hasattr(model, "sanitize") else marked.arrays
        except Exception as error:
            raise _unfit(self.name, f"cannot map these tensors: {error!r}") from error
        parameters = _parameters(model)
        extra = []
        for name in arrays:
            module, _, leaf = name.rpartition(".")
            quantised = leaf in ("scales", "biases", PERMUTATION) and f"{module}.weight" in parameters
            if name not in parameters and not quantised:
                extra.append(name)
        misshapen = {
            name: (arrays[name].shape, shape)
            for name, shape in parameters.items()
            if name in arrays and arrays[name].shape != shape and f"{name.removesuffix('.weight')}.scales" not in arrays
        }
        missing = tuple(name for name in parameters if name not in arrays)
        return Fit(tuple(extra), missing, misshapen, marked, arrays)

    def is_linear(self, name: str) -> bool:
        """Whether a module of the model is MLX's own linear layer, which another may stand in for."""
        from mlx.nn.layers.linear import Linear

        return type(dict(self._model.named_modules()).get(name)) is Linear

    def casts(self, name: str) -> bool:
        """Whether a float tensor may change its dtype with the model's; routers and the like may not."""
        return bool(getattr(self._model, "cast_predicate", lambda _: True)(name))

    def require(self, found: Fit) -> None:
        """Raise unless the tensors fit.

        Raises:
            MalformedCheckpoint: ``missing-tensor``.
            UnsupportedFormat: ``unsupported-architecture``, tensors that mlx-lm's model would not load.
        """
        if found.misshapen:
            name, (given, expected) = next(iter(found.misshapen.items()))
            raise _unfit(self.name, f"wants shape {list(expected)}, but it would be {list(given)}", name)
        if found.extra:
            others = f" ({len(found.extra)} such)" if len(found.extra) > 1 else ""
            raise _unfit(self.name, f"has no such parameter{others}", found.extra[0])
        if found.missing:
            raise MalformedCheckpoint(
                "missing-tensor",
                f"mlx-lm's {self.name} needs it, and nothing in the checkpoint fills it "
                f"({len(found.missing)} such); download the checkpoint again",
                where=found.missing[0],
            )


class _Late(BaseException):
    """Not an Exception, which the code of a model may expect."""


@contextmanager
def _clocked(seconds: float) -> Iterator[None]:
    """Stop Python code at the first call that it makes after so many seconds, in whatever thread this is.

    A profiler's place is not taken: whoever measures waits.
    """
    end, told_before = time.monotonic() + seconds, sys.unraisablehook

    def look(frame: FrameType, *_: object) -> None:
        if time.monotonic() > end and frame.f_code is not swallowed.__code__:
            sys.unraisablehook = swallowed
            raise _Late

    def swallowed(told: sys.UnraisableHookArgs) -> None:
        # The call was a destructor's or the garbage collector's, where nothing is raised any further, and a profiler
        # that raises is removed.
        if told.exc_type is _Late:
            sys.setprofile(look)
        else:
            told_before(told)

    if sys.getprofile() is not None:
        yield
        return
    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(None)
        if sys.unraisablehook is swallowed:
            sys.unraisablehook = told_before


def _parameters(model: Any) -> dict[str, tuple[int, ...]]:
    from mlx.utils import tree_flatten

    return {key: array.shape for key, array in cast(Any, tree_flatten(model.parameters()))}


def _unfit(name: str, problem: str, where: str | None = None) -> UnsupportedFormat:
    advice = "use a newer mlx-lm, or a model that it supports"
    return UnsupportedFormat("unsupported-architecture", f"mlx-lm's {name} {problem}; {advice}", where=where)
