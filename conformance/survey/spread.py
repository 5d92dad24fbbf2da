"""Work spread over processes and machines by Dask: whatever worker ends, each piece is done and answered once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from .listing import SurveyError

Piece = TypeVar("Piece")
Result = TypeVar("Result")

INSTALL = "pip install 'mlx-quant[survey]', or dask[distributed] and pyarrow"
# How many pieces wait at each worker's door. More would only be moved about when workers come and go.
_AHEAD = 3


@contextmanager
def workers(scheduler: str | None, processes: int, threads: int) -> Iterator[Any]:
    """A client of the scheduler at an address, or of so many processes on this machine.

    Raises SurveyError without Dask, or where no scheduler answers.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise SurveyError(f"workers need Dask: {INSTALL} ({error})") from error
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="10s", set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise SurveyError(f"no Dask scheduler at {scheduler}: {error}") from error
        with client:
            yield client
        return
    # Each worker is a process with a nanny, which starts it again when it dies; no dashboard, no port beyond loopback.
    quiet = {"distributed.admin.large-graph-warning-threshold": "1GB"}
    with (
        dask.config.set(quiet),
        LocalCluster(
            n_workers=processes,
            threads_per_worker=threads,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            silence_logs="CRITICAL",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def spread(
    client: Any,
    work: Callable[[Piece], Result],
    pieces: Iterable[Piece],
    lost: Callable[[Piece, str], Result],
) -> Iterator[Result]:
    """Results as they come, one a piece. A piece goes to another worker when its own ends.

    Args:
        work: importable where the workers are, and raises nothing.
        lost: the result of a piece at which one worker after the other ended, so that it is given up.

    Raises SurveyError when the scheduler is gone, or the workers cannot do such work at all.
    """
    from distributed import CancelledError, KilledWorker, as_completed

    left = iter(pieces)
    running: dict[Any, Piece] = {}
    slots = sum(client.nthreads().values()) or 1

    def start(piece: Piece) -> Any:
        future = client.submit(work, piece, pure=False)
        running[future.key] = piece
        return future

    answered = as_completed(
        [start(piece) for piece in islice(left, _AHEAD * slots)], loop=client.loop, raise_errors=False
    )
    for future in answered:
        piece = running.pop(future.key)
        try:
            yield future.result()
        except KilledWorker as error:
            yield lost(piece, f"{error.allowed_failures + 1} workers ended while they were at it")
        except CancelledError as error:
            raise SurveyError("the scheduler is gone; run the same command again to go on") from error
        except Exception as error:
            raise SurveyError(f"the workers cannot do this: {type(error).__name__}: {error}") from error
        future.release()
        if client.status != "running":
            raise SurveyError("the scheduler is gone; run the same command again to go on")
        for following in islice(left, 1):
            answered.add(start(following))
