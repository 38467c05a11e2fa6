"""Pools of Dask workers: `net`, `cpu` and `gpu`, each worker with one resource kind and one slot.

On one machine the pools are started here from a profile (`workers/*.toml`), which may also name
commands that start workers elsewhere; a scheduler that already runs is used as it is. Every worker
holds one child process (`avpipe.engine.child`) that does the work, so native code that dies takes
no worker with it. Only orders and outcomes travel.
"""

import itertools
import logging
import queue
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from avpipe.device import visible_gpus
from avpipe.engine.profile import Profile
from avpipe.engine.work import Order, Outcome
from avpipe.errors import AvpipeError, FailureClass, ToolMissing, UsageError
from avpipe.stages import POOLS, Pool

_JOIN_SECONDS = 5.0
"""How long a scheduler's workers may take to come (back) before a need is refused."""

_RESULT_SECONDS = 20.0
"""How long the outcome of an order that has ended may take to arrive."""


class Pools:
    """Running workers. Use as a context manager.

    Args:
        profile: who does the work.
        needs: pool -> most tasks it will ever have at a time; no more workers are started.
        cpu_workers: what `--workers` says; 0: one per core.

    Raises:
        UsageError: the scheduler cannot be reached, or has no worker for a pool that is needed.
    """

    def __init__(self, profile: Profile, needs: Mapping[Pool, int], cpu_workers: int = 0) -> None:
        _configure_dask()
        self.slots: dict[Pool, int] = {}
        """Pool -> workers."""
        self.results: queue.SimpleQueue[tuple[Any, list[Outcome]]] = queue.SimpleQueue()
        """(tag, outcomes) of every bundle of orders that ended."""
        self._tickets = itertools.count()
        self._launched: list[subprocess.Popen[bytes]] = []
        self._here: dict[Pool, int] = {}
        self._elsewhere: tuple[Pool, ...] = ()
        self._client: Any = None
        self._cluster: Any = None
        try:
            self._connect(profile, needs, cpu_workers)
        except BaseException:
            self.close()
            raise

    def _connect(self, profile: Profile, needs: Mapping[Pool, int], cpu_workers: int) -> None:
        from distributed import Client

        if profile.address is None:
            sizes = profile.sizes(cpu_workers)
            sizes = {p: min(sizes[p], n) for p, n in needs.items() if sizes[p]}
            self._elsewhere = tuple(p for p in sizes if p in profile.launch)
            self._here = {p: n for p, n in sizes.items() if p not in self._elsewhere}
            self._cluster = _start(self._here, profile.host, bool(self._elsewhere))
            self._client = Client(self._cluster, set_as_default=False)
            for pool in self._elsewhere:
                self._launch(pool, sizes[pool], profile.launch[pool])
        else:
            try:
                self._client = Client(profile.address, timeout=10, set_as_default=False)
            except (OSError, ValueError) as error:
                raise UsageError(f"no Dask scheduler answers at {profile.address}") from error
        self._client.scheduler_comm.interval = 0.001  # else up to 10 ms until an order leaves
        missing = self._missing(needs)
        deadline = time.monotonic() + _JOIN_SECONDS
        while missing and time.monotonic() < deadline:
            time.sleep(0.1)
            missing = self._missing(needs)
        if missing:
            raise UsageError(
                f"{profile.name}: no worker offers {', '.join(missing)}; start one with"
                f' `dask worker {profile.address} --nthreads 1 --resources "{missing[0]}=1"`'
            )

    def _missing(self, needs: Mapping[Pool, int]) -> list[Pool]:
        """Pools that nobody works for, nor will because it was launched."""
        self.refresh()
        wanted = [p for p in needs if p != "gpu" and p not in self._elsewhere]
        return [p for p in wanted if not self.slots.get(p)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _launch(self, pool: Pool, count: int, command: Sequence[str]) -> None:
        """Starts workers of a pool elsewhere; they come when they come."""
        worker = [
            sys.executable,
            "-m",
            "distributed.cli.dask_worker",
            self._cluster.scheduler_address,
        ]
        worker += ["--nthreads", "1", "--no-dashboard", "--memory-limit", "0"]
        worker += ["--death-timeout", "120", "--resources", f"{pool}=1"]
        for number in range(count):
            line = shlex.join([*worker, "--name", f"{pool}-{number}"])
            words = {"worker": line, "pool": pool, "number": number}
            try:
                self._launched.append(
                    subprocess.Popen(
                        [word.format_map(words) for word in command],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        start_new_session=True,
                    )
                )
            except OSError as error:
                raise ToolMissing(f"[launch] {pool}: {command[0]}: {error.strerror}") from error

    def refresh(self) -> None:
        """Counts the workers; those that were not started here come and go."""
        if self._cluster is None:
            self.slots = _offered(self._client)
        elif self._elsewhere:
            self.slots = dict.fromkeys(self._elsewhere, 0) | _offered(self._client) | self._here
        else:
            self.slots = self._here

    def submit(self, pool: Pool, orders: Sequence[Order], tag: Any) -> None:
        """Sends orders to one worker of the pool, to be done one after the other; `results` gets
        (tag, outcomes), one for each."""
        from avpipe.engine.worker import perform

        first = orders[0]
        key = f"{first.stage}-{first.key}-{next(self._tickets)}-{self._client.id}"
        marker = first.root / "tmp" / f"at-work-{key}"
        future = self._client.submit(
            perform, orders, marker, pure=False, resources={pool: 1}, key=key
        )
        future.add_done_callback(
            lambda f: self.results.put((tag, _outcomes(f, marker, len(orders))))
        )

    def close(self) -> None:
        """Ends the workers that were started here, and what they are doing."""
        if self._client is not None and self._elsewhere:
            with suppress(TimeoutError, OSError):
                self._client.retire_workers(close_workers=True)
        for what, seconds in ((self._client, 5), (self._cluster, 10)):
            if what is not None:
                with suppress(TimeoutError, OSError):
                    what.close(timeout=seconds)
        for process in self._launched:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            process.terminate()
            process.wait()


def _configure_dask() -> None:
    import dask

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    dask.config.set(
        {
            # every death of a worker is told at once; what follows is for `avpipe.engine.verdict`
            "distributed.scheduler.allowed-failures": 0,
            "distributed.scheduler.worker-ttl": None,
            # a bundle that waits behind a long task goes to a worker that has nothing to do
            "distributed.scheduler.work-stealing": True,
            "distributed.worker.memory.target": False,
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
            "distributed.worker.memory.terminate": False,
            # what nobody looks at, but every process would measure many times a second
            "distributed.worker.profile.enabled": False,
            "distributed.admin.tick.interval": "1s",
            # a worker reads its logging level when it imports distributed, before all else
            "distributed.nanny.pre-spawn-environ": {
                "DASK_LOGGING__DISTRIBUTED": "critical",
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
            },
        }
    )


def _start(slots: Mapping[Pool, int], host: str | None, reachable: bool) -> Any:
    from distributed import Nanny, Scheduler, SpecCluster

    from avpipe.engine.worker import LocalWorker

    gpus = visible_gpus()
    here = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "dashboard": False}
    workers = {}
    for pool, count in slots.items():
        for i in range(count):
            workers[f"{pool}-{i}"] = {
                "cls": Nanny,
                "options": {
                    **here,
                    "nthreads": 1,
                    "resources": {pool: 1},
                    "env": {"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} if pool == "gpu" else {},
                    "memory_limit": 0,
                    "plugins": [LocalWorker()],
                },
            }
    try:
        return SpecCluster(
            workers=workers,
            scheduler={
                "cls": Scheduler,
                "options": {**here, "host": host if reachable else here["host"], "port": 0},
            },
            silence_logs=logging.CRITICAL,
        )
    except (RuntimeError, OSError, TimeoutError) as error:
        raise AvpipeError(f"the workers do not start: {error.__cause__ or error}") from error


def _offered(client: Any) -> dict[Pool, int]:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return {
        pool: count
        for pool in POOLS
        if (count := sum(int(w["resources"].get(pool, 0)) for w in workers))
    }


def _outcomes(future: Any, marker: Path, orders: int) -> list[Outcome]:
    """The outcomes of so many orders, whatever became of their future. Empty ones: no more orders
    can be done.

    Nothing here may wait for ever: one thread sees to the outcomes of all orders.
    """
    from distributed import KilledWorker

    undone = [Outcome(undone=True)] * orders
    try:
        if future.status == "finished":
            outcomes: list[Outcome] = future.result(timeout=_RESULT_SECONDS)
            return outcomes
        error = future.exception(timeout=_RESULT_SECONDS)
    except TimeoutError:  # its worker died after the work, before it was told
        return undone
    except (CancelledError, OSError):
        error = None
    if error is None:
        if future.client.status == "running":  # its worker died and took the outcomes along
            return undone
        return [Outcome(message="the connection to the Dask scheduler was lost")] * orders
    if isinstance(error, KilledWorker):
        begun = marker.stat().st_size if marker.exists() else 0
        marker.unlink(missing_ok=True)
        died = Outcome(
            failure=FailureClass.CRASHED, message="its worker died", died=True, ended=time.time()
        )
        return [died if i + 1 == begun else undone[i] for i in range(orders)]
    message = f"a worker cannot work: {type(error).__name__}: {error}"
    return [Outcome(message=message, stop=True)] * orders
