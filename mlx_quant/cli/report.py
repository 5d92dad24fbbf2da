"""Inspections, conversions and refusals as people read them: tables on a terminal, plain lines in a file."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from ..conversion.job import ConversionReport
from ..errors import QuantError, printable
from ..packings.registry import PACKINGS, traits
from ..packings.status import FormatStatus
from .inspection import Inspection, Outcome
from .words import human

# Where no terminal sets the width, a table may be as wide as what it says.
_FILE_WIDTH = 200
_ALL = {"all": "-1 (one group a matrix)", "as each says": "said beside each module"}


class _Told(Console):
    def on_broken_pipe(self) -> None:
        """Let the command end with its own status, where rich would have it end with that of a refusal."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def console(stream: TextIO | None = None) -> Console:
    """A console for ``stream`` (stdout). Markup is off: names and messages contain brackets of their own."""
    stream = stream or sys.stdout
    width = None if stream.isatty() else _FILE_WIDTH
    return _Told(file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def show_inspection(found: Inspection, out: Console) -> None:
    show_answer(found, out)
    scheme = _table("", "", header=False)
    for label, value in _scheme_rows(found):
        scheme.add_row(label, printable(value))
    modules = _table("packed modules", "#", "out x in", "bits", "group", "act-order", "scales", "bias")
    for group in found.modules:
        size = _group(group.group_size, group.packing, group.block)
        row = (group.pattern, group.count, _shape(group.shape), group.bits, size, _yes(group.act_order), group.scales)
        modules.add_row(*map(printable, row), _yes(group.bias))
    plain = _table("other tensors", "#", "shape", "dtype")
    for tensors in found.plain:
        plain.add_row(printable(tensors.pattern), str(tensors.count), _shape(tensors.shape), tensors.dtype)
    targets = _table("target", "result", "size", "remarks")
    for outcome in found.outcomes:
        chosen = " (auto)" if outcome == _chosen(found) else ""
        targets.add_row(
            _named(outcome) + chosen, _result(outcome), _size(outcome), "\n".join(map(printable, _remarks(outcome)))
        )
    for table in (scheme, modules, plain, targets):
        out.print(table)
    show_warnings(found.warnings, out)


def show_answer(found: Inspection, out: Console) -> None:
    """What a person asks first, in lines that a terminal may wrap and nobody has to pick out of a table."""
    answer = found.answer
    # A packed form that holds no module is the dense one again.
    possible = [
        one
        for one in found.outcomes
        if not one.refused and (one.target == "dense" or one.affine or one == _chosen(found))
    ]
    possible.sort(key=lambda outcome: outcome != _chosen(found))
    machine = f"this machine has {human(answer.machine)}" if answer.machine else "and the cache of a context besides"
    out.print(printable(found.source), style="bold", soft_wrap=True)
    _show_lines("runs here", [f"{'yes' if answer.runs else 'no'}: {answer.why}"], out)
    _show_lines("size", [f"{_named(one)}: {_sizes(one.nbytes, one.memory)}" for one in possible] + [machine], out)
    _show_lines("exact", [f"{_named(one)}: {text}" for one in possible for text in one.exact], out)
    _show_lines("next", answer.next, out)


def _chosen(found: Inspection) -> Outcome:
    return [outcome for outcome in found.outcomes if outcome.target == found.auto][-1]


def _named(outcome: Outcome) -> str:
    return f"{outcome.target}, permuted" if outcome.permute else outcome.target


def _sizes(disk: int, memory: int) -> str:
    return f"{human(disk)} on disk, {human(memory)} in memory"


def _show_lines(label: str, texts: Iterable[str], out: Console) -> None:
    for text in texts:
        out.print(f"  {label:<9}  {printable(text)}", soft_wrap=True)
        label = ""


def show_next(command: str, out: Console) -> None:
    _show_lines("next", [command], out)


def show_conversion(report: ConversionReport, out: Console) -> None:
    permuted = f" ({len(report.permuted)} with their inputs permuted)" if report.permuted else ""
    counts = f"{len(report.dense)} modules dense, {len(report.affine)} affine{permuted}, {report.plain} other tensors"
    table = _table("", "", title=printable(f"{report.source} -> {report.destination}"), header=False)
    table.add_row("target", report.target)
    table.add_row("written", counts)
    table.add_row("size", f"{human(report.nbytes)} in {', '.join(report.files)}")
    for text, count in _counted(report.dropped.values()).items():
        table.add_row("left out", f"{count} tensors: {printable(text)}")
    table.add_row("time", f"{report.seconds:.1f} s")
    out.print(table)
    show_warnings((*report.notes, *report.warnings), out)
    _show_lines("size", [_sizes(report.nbytes, report.memory)], out)
    _show_lines("exact", report.exact, out)


def show_formats(found: Mapping[str, FormatStatus], out: Console) -> None:
    table = _table("format", "status", "what is decoded, or why not", "evidence")
    for status in found.values():
        evidence = "none yet" if status.evidence is None and status.status != "refused" else str(status.evidence or "")
        table.add_row(status.name, status.status, status.reason, evidence)
    out.print(table)


def show_refusal(error: QuantError, out: Console) -> None:
    out.print(f"refused [{error.code}]", style="bold red")
    if error.where:
        out.print(f"  where: {error.where}", soft_wrap=True)
    out.print(f"  why:   {error.message}", soft_wrap=True)


def refusal_dict(error: QuantError) -> dict[str, Any]:
    """A refusal for JSON."""
    kind = type(error).__name__
    return {"error": {"type": kind, "code": error.code, "where": error.where, "message": error.message}}


def show_warnings(texts: Iterable[str], out: Console) -> None:
    for text in texts:
        out.print(f"note: {printable(text)}", soft_wrap=True)


def _scheme_rows(found: Inspection) -> list[tuple[str, str]]:
    scheme = found.scheme
    ordered = sum(group.count for group in found.modules if group.act_order)
    total = sum(group.count for group in found.modules)
    according = "as the tensors say" if found.read == "data" else "as desc_act says; the tensors were not read"
    producer = scheme["producer"]
    rows = [
        ("model", f"{found.model_type or 'unknown'}{'' if found.in_mlx_lm else ' (mlx-lm has no such model)'}"),
        ("method", f"{scheme['method']}, layout {scheme['layout']}"),
        ("bits", str(scheme["bits"])),
        ("group size", _ALL.get(size := _group(scheme["group_size"], scheme["packing"], scheme["block"]), size)),
        ("symmetric", _said(scheme["sym"])),
        ("act-order", f"{ordered} of {total} modules, {according} (desc_act: {_said(scheme['desc_act'])})"),
        ("producer", f"{producer[0]} {'.'.join(map(str, producer[1]))}" if producer else "not said"),
        ("said in", "; ".join(found.sources)),
        ("lm_head", f"{found.lm_head}{', tied to the embeddings' if found.tied else ''}"),
        ("weights", f"{human(found.nbytes)} in {', '.join(found.shards)}"),
    ]
    return [*rows, ("commit", found.commit)] if found.commit else rows


def _group(size: int, packing: str, block: tuple[int, int] | None) -> str:
    """What shares a scale; some packings tell that beside each module and not in the configuration."""
    if block:
        return f"{block[0]} x {block[1]}"
    if size != -1:
        return str(size)
    return "as each says" if traits(PACKINGS[packing]).described else "all"


def _result(outcome: Outcome) -> str:
    if outcome.refused:
        return "not possible"
    kinds = [f"{count} {kind}" for kind, count in (("dense", outcome.dense), ("affine", outcome.affine)) if count]
    return " + ".join(kinds) + " modules"


def _size(outcome: Outcome) -> str:
    return "" if outcome.refused else human(outcome.nbytes)


def _remarks(outcome: Outcome) -> list[str]:
    if outcome.refused:
        return [outcome.refused]
    dropped = [f"{count} tensors left out: {reason}" for reason, count in (outcome.dropped or {}).items()]
    return [*outcome.notes, *dropped]


def _table(*columns: str, title: str | None = None, header: bool = True) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=header)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _counted(texts: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for text in texts:
        found[text] = found.get(text, 0) + 1
    return found


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _said(value: bool | None) -> str:
    return "not said" if value is None else _yes(value)
