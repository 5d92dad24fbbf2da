"""``mlx-quant``: look at packed checkpoints, convert them, run them.

Exit status: 0 done, 1 refused (a QuantError, shown with its code), 2 wrong usage, 70 a fault of this program, 130
interrupted, 129 and 143 hung up and terminated, 141 nobody reads the output.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal, NoReturn, cast

import mlx.core as mx
import typer

from ..conversion.convert import MAX_SHARD_BYTES, convert
from ..conversion.plan import Target
from ..errors import MalformedCheckpoint, QuantError, QuantWarning, printable
from ..files.faults import of_system
from ..files.hub import resolve
from ..packings.registry import formats
from ..running.load import load
from ..running.way import Way, require
from ..version import __version__
from . import commands, report
from .inspection import inspect
from .words import has_chat_template, to_run

EXIT_REFUSED = 1
EXIT_INTERNAL = 70  # EX_SOFTWARE of sysexits.h
EXIT_PIPE = 128 + signal.SIGPIPE
_SIGNALLED = {128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
# A chat template is a program in a sandbox, which stops it from reaching anything but not from running for ever.
_TEMPLATE_SECONDS = 10

DtypeName = Literal["float16", "bfloat16", "float32"]

app = typer.Typer(
    name="mlx-quant",
    help="Look at packed checkpoints (GPTQ, AWQ), convert them for MLX, run them.",
    epilog="Exit status: 0 done, 1 refused, 2 wrong usage, 70 internal error, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Source = Annotated[str, typer.Argument(metavar="PATH_OR_REPO", help="A folder, or a repo id on the Hugging Face Hub.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub repo.")]
CacheDir = Annotated[Path | None, typer.Option(help="The Hub cache, if not the usual one.", file_okay=False)]
Offline = Annotated[bool, typer.Option("--offline", help="Use only what the Hub cache holds.")]
Candidates = Annotated[
    bool, typer.Option("--candidates", help="Decode formats too that the conformance suite has not proven yet.")
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output; refusals too.")]
Dtype = Annotated[DtypeName | None, typer.Option(help="Of decoded weights and other float tensors.")]
ParamsDtype = Annotated[DtypeName | None, typer.Option(help="Of the scales and biases of affine modules.")]
RunTarget = Annotated[Target, typer.Option(help="As for convert; auto is affine if that holds every module.")]
Permute = Annotated[
    bool,
    typer.Option("--permute/--no-permute", help="Keep act-order modules packed, and put their inputs in order."),
]
Requantize = Annotated[bool, typer.Option("--requantize", help="Decode, then quantise to MLX's 4 bits: rounds twice.")]
Progress = Annotated[bool | None, typer.Option(help="Show a bar on stderr; by default where that is a terminal.")]


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        with _refusals(as_json=False):
            typer.echo(__version__)
        raise typer.Exit()


@app.command("inspect")
def inspect_command(
    source: Source,
    read: Annotated[
        bool | None,
        typer.Option(
            "--data/--headers",
            help="Read scales, zero points and group indices too, or headers alone. By default a Hub repo is told "
            "from its headers, and none of its weights are downloaded.",
        ),
    ] = None,
    candidates: Candidates = False,
    revision: Revision = None,
    cache_dir: CacheDir = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Show what a checkpoint holds and what each target would make of it."""
    _bars(None)
    with _refusals(as_json):
        found = inspect(
            source, data=read, candidates=candidates, revision=revision, cache_dir=cache_dir, local_files_only=offline
        )
        if as_json:
            _print_json(found.to_dict())
        else:
            report.show_inspection(found, report.console())


def _nbytes(text: str) -> int:
    """``500MB``, ``5 GB``, ``2GiB`` or a number of bytes."""
    powers = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([KMG]I?)?B?", text.strip().upper())
    size = int(float(match[1]) * powers[match[2] or ""]) if match else 0
    if size <= 0:
        raise typer.BadParameter(f"{text!r} is no size; write 5GB, 500MB or a number of bytes")
    return size


@app.command("convert")
def convert_command(
    source: Source,
    destination: Annotated[Path, typer.Argument(metavar="FOLDER", help="Created; whole or not at all.")],
    target: Annotated[Target, typer.Option(help="dense: float weights; affine: MLX's packed form, same codes.")] = (
        "dense"
    ),
    dtype: Dtype = None,
    params_dtype: ParamsDtype = None,
    permute: Annotated[
        bool,
        typer.Option(
            "--permute", help="Keep act-order modules packed: for mlx-quant run alone, plain mlx-lm refuses it."
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a folder that is not empty.")] = False,
    max_shard_size: Annotated[
        int | None, typer.Option(parser=_nbytes, metavar="SIZE", help="Such as 5GB or 500MB; by default 1GiB.")
    ] = None,
    candidates: Candidates = False,
    revision: Revision = None,
    cache_dir: CacheDir = None,
    offline: Offline = False,
    progress: Progress = None,
    as_json: Json = False,
) -> None:
    """Write a checkpoint that mlx_lm loads."""
    with _refusals(as_json):
        done = convert(
            source,
            destination,
            target=target,
            dtype=dtype,
            params_dtype=params_dtype,
            permute=permute,
            overwrite=overwrite,
            progress=_bars(progress),
            max_shard_bytes=max_shard_size or MAX_SHARD_BYTES,
            candidates=candidates,
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=offline,
        )
        if as_json:
            _print_json(done.to_dict())
        else:
            report.show_conversion(done, report.console())
            if done.in_mlx_lm:
                chat = has_chat_template(resolve(destination))
                report.show_next(to_run(str(destination), chat=chat, packed=bool(done.permuted)), report.console())


@app.command("generate")
def generate_command(
    source: Source,
    prompt: Annotated[str, typer.Option("--prompt", "-p", help="What to continue; - reads it from stdin.")],
    max_tokens: Annotated[int, typer.Option("--max-tokens", "-m", min=1, help="Stop after so many.")] = 256,
    temp: Annotated[float, typer.Option(min=0.0, help="Sampling temperature; 0 takes the likeliest token.")] = 0.0,
    seed: Annotated[int | None, typer.Option(help="Of the sampling.")] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Wrap the prompt in the model's chat template.")] = False,
    target: RunTarget = "auto",
    requantize: Requantize = False,
    dtype: Dtype = None,
    params_dtype: ParamsDtype = None,
    permute: Permute = True,
    adapter_path: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="LoRA adapters.")] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let the tokenizer run code from the repo.")
    ] = False,
    candidates: Candidates = False,
    revision: Revision = None,
    cache_dir: CacheDir = None,
    offline: Offline = False,
    progress: Progress = None,
) -> None:
    """Load a checkpoint and continue a prompt; greedy unless a temperature is given."""
    with _refusals(as_json=False):
        model, tokenizer = load(
            source,
            target=target,
            requantize=requantize,
            dtype=dtype,
            params_dtype=params_dtype,
            permute=permute,
            candidates=candidates,
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=offline,
            tokenizer_config={"trust_remote_code": True} if trust_remote_code else None,
            adapter_path=None if adapter_path is None else str(adapter_path),
            progress=_bars(progress),
        )
        conversion = model._conversion  # None where that was done before
        errors = report.console(sys.stderr)
        report.show_warnings((*conversion.notes, *conversion.warnings) if conversion else (), errors)
        text = sys.stdin.read() if prompt == "-" else prompt
        if seed is not None:
            mx.random.seed(seed)
        errors.print(_stream(model, tokenizer, _chat_prompt(tokenizer, text) if chat else text, max_tokens, temp))


@app.command("run", context_settings={"allow_interspersed_args": False})
def run_command(
    name: Annotated[
        str, typer.Argument(metavar="COMMAND", help="mlx_lm.server, mlx_lm.chat, ...; or server, chat, ...")
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGS]...", help="Of the command; --help shows its own.")
    ] = None,
    target: RunTarget = "auto",
    requantize: Requantize = False,
    dtype: Dtype = None,
    params_dtype: ParamsDtype = None,
    permute: Permute = True,
    candidates: Candidates = False,
    progress: Progress = None,
) -> None:
    """Run a command of mlx-lm with packed repos accepted.

    Options of mlx-quant come before COMMAND. Repos that are not packed are mlx-lm's own affair.
    """
    with _refusals(as_json=False):
        way = Way(target, requantize, dtype, params_dtype, candidates, _bars(progress), permute)
        require(way)
        known = commands.commands()
        found = next((each for each in (name, f"mlx_lm.{name}") if each in known), None)
        if found is None:
            raise typer.BadParameter(f"mlx-lm has no {name!r}; it has {', '.join(sorted(known))}", param_hint="COMMAND")
        commands.run(found, arguments or [], way)


@app.command("formats")
def formats_command(as_json: Json = False) -> None:
    """List the formats that are decoded, those that wait to be proven, and those refused, with the reason."""
    with _refusals(as_json):
        found = formats()
        if as_json:
            _print_json({name: asdict(status) for name, status in found.items()})
        else:
            report.show_formats(found, report.console())


def _bars(wanted: bool | None) -> bool:
    """Whether progress bars are shown; without them, the Hub library's are off too."""
    shown = sys.stderr.isatty() if wanted is None else wanted
    if not shown:
        from huggingface_hub import utils

        cast(Any, utils).disable_progress_bars()
    return shown


def _chat_prompt(tokenizer: Any, text: str) -> Any:
    if not tokenizer.has_chat_template:
        raise typer.BadParameter("this tokenizer has no chat template; leave --chat out", param_hint="--chat")
    try:
        with _clocked(_TEMPLATE_SECONDS):
            return tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True)
    except Exception as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise MalformedCheckpoint(
            "bad-tokenizer", f"its chat template fails ({told}); leave --chat out", where="chat_template"
        ) from error


@contextmanager
def _clocked(seconds: int) -> Iterator[None]:
    """TimeoutError after so many seconds."""

    def ring(signum: int, frame: FrameType | None) -> NoReturn:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _stream(model: Any, tokenizer: Any, prompt: Any, max_tokens: int, temp: float) -> str:
    """Print a continuation as it comes; returns a line on its speed."""
    from mlx_lm import stream_generate
    from mlx_lm.sample_utils import make_sampler

    # A model is a file from somebody, too: on a terminal it writes, and commands nothing.
    shown = partial(printable, keep="\n\t") if sys.stdout.isatty() else str
    last: Any = None
    for last in stream_generate(model, tokenizer, prompt, max_tokens=max_tokens, sampler=make_sampler(temp=temp)):
        typer.echo(shown(last.text), nl=False)
    typer.echo()
    speed = f"{last.generation_tps:.1f} tokens/s, peak memory {last.peak_memory:.2f} GB"
    return f"{last.prompt_tokens} tokens read, {last.generation_tokens} generated, {speed}"


@contextmanager
def _refusals(as_json: bool) -> Iterator[None]:
    """Show a QuantError as a refusal and leave with its status. Warnings are in the reports, so not on stderr too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantWarning)
        try:
            yield
        except QuantError as error:
            if as_json:
                _print_json(report.refusal_dict(error))
            else:
                report.show_refusal(error, report.console(sys.stderr))
            raise typer.Exit(EXIT_REFUSED) from None
        except BrokenPipeError:
            # Python flushes once more as it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(EXIT_PIPE) from None
        except OSError as error:
            report.show_refusal(of_system(error), report.console(sys.stderr))
            raise typer.Exit(EXIT_REFUSED) from None
        except (typer.Exit, typer.BadParameter, typer.Abort):
            raise
        except commands.Failed as failure:
            sys.stderr.write(f"mlx-quant: {printable(failure)}\n")
            raise typer.Exit(EXIT_INTERNAL) from None
        except Exception:
            sys.stderr.write(printable(traceback.format_exc(), keep="\n"))
            sys.stderr.write(
                "mlx-quant: internal error: this is a fault of mlx-quant; please report it with the above\n"
            )
            raise typer.Exit(EXIT_INTERNAL) from None


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, indent=2))


def _terminated(signum: int, frame: FrameType | None) -> NoReturn:
    """As for Ctrl-C, so that temporary folders are removed."""
    raise SystemExit(128 + signum)


def main() -> None:
    """Entry point of ``mlx-quant``."""
    commands.on_ending(_terminated)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files need not be text in the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except SystemExit as ending:
        if ending.code in _SIGNALLED:
            _leave(ending.code)
        raise


def _leave(status: int) -> NoReturn:
    """End as Python would, but for threads: one that is in the middle of MLX's code would abort it all."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
