"""A connection to a Dask cluster: the only file that knows the client of `distributed`."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from jobtest.core.errors import Problem, UsageError
from jobtest.engine.executors.dask import room

__all__ = ["Cluster", "Link", "Seat", "connect", "side_by_side"]

T = TypeVar("T")

LONGEST_CONNECT = 10.0
"""Seconds until a scheduler has answered, and a first worker is there."""

EXTRA = "pip install 'jobtest[dask]'"


@dataclass(frozen=True, slots=True)
class Seat:
    """A Dask worker.

    Attributes:
        address: Where it is reached.
        id: Its scratch folder: another one for each process, also at the same address.
        threads: Tasks that it executes at once.
        resources: Amounts that it offers.
    """

    address: str
    id: str
    threads: int
    resources: Mapping[str, float]


OnEnd = Callable[[str | None, str], None]
"""Called with the result of a task, or None and why there is none."""


class Link(Protocol):
    """What a lane asks of a cluster. Nothing waits but `seats` and `tell`."""

    address: str

    def submit(
        self, seat: Seat, text: str, resources: Mapping[str, int], priority: int, ended: OnEnd
    ) -> object:
        """Have `room.call_phases` called on a worker; `ended` is called on another thread, once.

        The task is forgotten when what is returned is.
        """

    def seats(self) -> Sequence[Seat] | None:
        """Return the workers; None if the scheduler has gone."""

    def tell(self, address: str, text: str) -> object:
        """Have `room.tell` called on a worker; return what it said, or why it said nothing."""


class Cluster:
    """A connection to a scheduler.

    Args:
        client: Of `distributed`.
    """

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - of distributed, which need not be there
        self._client = client
        self.address: str = client.scheduler.address

    def submit(
        self, seat: Seat, text: str, resources: Mapping[str, int], priority: int, ended: OnEnd
    ) -> object:
        """Have `room.call_phases` called on a worker; see `Link`."""
        future = self._client.submit(
            room.call_phases,
            text,
            workers=[seat.address],
            allow_other_workers=False,
            pure=False,
            retries=0,
            resources=dict(resources) or None,
            priority=priority,
        )
        future.add_done_callback(lambda done: _tell_end(done, ended))
        return future

    def seats(self) -> Sequence[Seat] | None:
        """Return the workers; see `Link`."""
        if self._client.status != "running":
            return None
        try:
            found = self._client.scheduler_info(n_workers=-1)["workers"]
        except Exception:  # noqa: BLE001 - whatever it raises, the scheduler cannot be asked
            return None
        return [
            Seat(address, one["local_directory"], one["nthreads"], one.get("resources") or {})
            for address, one in found.items()
        ]

    def tell(self, address: str, text: str) -> object:
        """Have `room.tell` called on a worker; see `Link`."""
        return self.at(address, room.tell, text)

    def listen(self, run: str, hear: Callable[[Mapping[str, Any]], None]) -> None:
        """Have events of a run told; on the thread of the client, which must not wait."""
        self._client.subscribe_topic(room.topic(run), lambda event: hear(event[1]))

    def everywhere(
        self, addresses: Iterable[str], function: Callable[..., object], *args: object, seconds: float
    ) -> dict[str, Any]:
        """Call a function on workers; return what it returned or raised, or a TimeoutError, by address."""
        return side_by_side({one: partial(self.at, one, function, *args) for one in addresses}, seconds)

    def at(self, address: str, function: Callable[..., object], *args: object) -> Any:  # noqa: ANN401 - its own
        """Call a function on one worker; return what it returned or raised."""
        try:
            return self._client.run(function, *args, workers=[address], on_error="return")[address]
        except Exception as error:  # noqa: BLE001 - whatever it raises when the worker or the scheduler goes
            return error


def side_by_side(calls: Mapping[str, Callable[[], T]], seconds: float) -> dict[str, T | Exception]:
    """Make calls that never raise, all at once; after some time those that have not returned are left."""
    found: dict[str, T | Exception] = {}
    threads = []
    for name, call in calls.items():
        found[name] = TimeoutError(f"no answer for {seconds:g} s")

        def one(name: str = name, call: Callable[[], T] = call) -> None:
            found[name] = call()

        threads.append(threading.Thread(target=one, name="jobtest-dask-call", daemon=True))
        threads[-1].start()
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return dict(found)


def _tell_end(future: Any, ended: OnEnd) -> None:  # noqa: ANN401 - as above
    """Say what became of a task. Its result is fetched only if it is asked for: that is dear."""
    if future.status == "finished":
        ended(None, "")
    elif future.status == "error":
        name = type(error := future.exception()).__name__
        ended(None, name if name == "KilledWorker" else f"{name}: {error}")
    else:
        ended(None, f"it was {future.status}")


@contextmanager
def connect(url: str, workers: int) -> Generator[Cluster]:
    """Connect to the cluster of a URL for the time of a block.

    Args:
        url: `dask://host:port`, or `dask://` for a cluster of this machine for the time of the block.
        workers: Jobs that may run at once; that one has as many workers, and no more than processors.

    Raises:
        UsageError: `distributed` is not installed; nobody answers; there are no workers.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise UsageError([Problem(what=f"{url} needs distributed: {error}", fix=EXTRA)]) from None
    address = url.removeprefix("dask://")
    if address and not address.rpartition(":")[2].isdigit():
        what = f"{url}: the address of a Dask scheduler has a port"
        raise UsageError(
            [Problem(what=what, fix=f"write {url.rstrip(':')}:8786, or dask:// for a local cluster")]
        )
    ours = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.admin.large-graph-warning-threshold": "1 GB",
        "distributed.comm.timeouts.connect": f"{LONGEST_CONNECT:g}s",
        "logging.distributed": "error",
    }
    with dask.config.set(ours):
        if address:
            with _client(Client, f"tcp://{address}", url) as client:
                yield Cluster(client)
            return
        with _no_ctrl_c():
            local = LocalCluster(
                n_workers=min(workers, _processors()),
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
            )
        with local, _client(Client, local, url) as client:
            yield Cluster(client)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _client(make: Any, address: object, url: str) -> Generator[Any]:  # noqa: ANN401 - as above
    try:
        client = make(address, timeout=LONGEST_CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        what = f"{url}: there is no Dask scheduler: {error}"
        raise UsageError([Problem(what=what, fix="start one: dask scheduler")]) from None
    try:
        try:
            client.wait_for_workers(1, timeout=LONGEST_CONNECT)
        except TimeoutError:
            what = f"{url}: the cluster has no workers"
            fix = f"start some: dask worker {url.removeprefix('dask://')} --nthreads 1"
            raise UsageError([Problem(what=what, fix=fix)]) from None
        yield client
    finally:
        client.close(timeout=2.0)


@contextmanager
def _no_ctrl_c() -> Generator[None]:
    """Start processes that do not hear the Ctrl-C of the terminal: it is for the run, which ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
