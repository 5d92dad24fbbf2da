"""pytest plugin of the suite: options, Hypothesis profiles, the ledger and its table, and the floor.

Load it with ``-p``; it is not an entry point, so that it stays out of everybody else's pytest runs.
"""

from __future__ import annotations

import gc
import platform
from collections.abc import Generator
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings

from .. import SUITE_VERSION
from ..corpus import fixtures as data
from ..subjects.ask import single_threaded
from ..subjects.resolve import CORE, ORACLE, resolve
from .ledger import Ledger

EXIT_BELOW_FLOOR = 3
_LEDGER = pytest.StashKey[Ledger]()

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile(
    "conformance",
    # As many as tests/project/test_reach.py holds to be enough for every flag and edge.
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
settings.register_profile("ci", parent=settings.get_profile("conformance"))
settings.register_profile(
    "nightly", max_examples=20_000, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mlx-quant conformance")
    group.addoption(
        "--subject", default=CORE, help="what is under test: py:package.module:object, or an installed name"
    )
    group.addoption("--oracle", default=ORACLE, help="what it is held to")
    group.addoption("--no-floor", action="store_true", help="do not fail for too few checks (for a partial run)")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LEDGER] = Ledger()
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_Workers())


def pytest_collection_finish() -> None:
    """The cases stay to the end: they need not be looked through at every collection of garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def ledger(request: pytest.FixtureRequest) -> Ledger:
    return request.config.stash[_LEDGER]


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest) -> Any:
    return resolve(request.config.getoption("--subject"))


@pytest.fixture(scope="session")
def oracle(request: pytest.FixtureRequest) -> Any:
    found = resolve(request.config.getoption("--oracle"))
    if found.framework == "torch":
        single_threaded()
    return found


def pytest_report_header(config: pytest.Config) -> list[str]:
    lines = [
        f"mlx-quant conformance {SUITE_VERSION}, hypothesis {hypothesis.__version__} "
        f"(profile {settings.get_current_profile_name()}), {platform.machine()} {platform.system()}"
    ]
    for role in ("subject", "oracle"):
        found = resolve(config.getoption(f"--{role}"))
        facts = ", ".join(f"{key} {value}" for key, value in found.info().items())
        lines.append(f"{role}: {found.name} ({facts})")
    return lines


class _Workers:
    """The other side of ``-n``: processes of pytest-xdist hand in what they counted."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: Any) -> None:
        if counted := getattr(node, "workeroutput", {}).get("ledger"):
            node.config.stash[_LEDGER].join(counted)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    yield
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["ledger"] = config.stash[_LEDGER].counted()
        return
    judged = not config.getoption("--no-floor") and not config.getoption("collectonly")
    clean = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    if judged and clean and config.stash[_LEDGER].below_floor():
        session.exitstatus = EXIT_BELOW_FLOOR


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    ledger = config.stash[_LEDGER]
    unjudged = config.getoption("--no-floor") and not any(count.checks for count in ledger.counts.values())
    if config.getoption("collectonly") or unjudged:
        return
    terminalreporter.section("what was checked")
    for line in ledger.table():
        terminalreporter.write_line(line)
    absent = [name for name in data.CHECKPOINTS if name not in data.present_checkpoints()]
    if absent:
        terminalreporter.write_line(f"absent here, so not checked: {', '.join(absent)}")
    if not config.getoption("--no-floor"):
        for line in ledger.below_floor():
            terminalreporter.write_line(f"BELOW THE FLOOR  {line}", red=True)
