"""Ratios at the end of a benchmark run: the core against every other contender."""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    session = getattr(config, "_benchmarksession", None)
    groups: dict[str, dict[str, float]] = {}
    for bench in session.benchmarks if session else []:
        groups.setdefault(bench.group, {})[bench.params["contender_name"]] = bench.stats.median
    if not groups:
        return
    terminalreporter.section("ratios of medians, one run on one machine")
    for group, medians in groups.items():
        core = medians.pop("core", None)
        if core:
            ratios = ", ".join(f"{core / median:.2f} x {name}" for name, median in medians.items())
            terminalreporter.write_line(f"{group}: core {core * 1e3:.1f} ms = {ratios}")
