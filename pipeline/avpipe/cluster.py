"""Pools of Dask workers: `net`, `cpu` and `gpu`, each worker with one resource kind and one slot.

On one machine the pools are started here from a profile (`workers/*.toml`); a scheduler that
already runs is used as it is. Every worker holds one child process (`avpipe.child`) that does the
work, so native code that dies takes no worker with it. Only orders and outcomes travel.
"""

import logging
import queue
import signal
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from avpipe.config import configure
from avpipe.device import cpu_count, visible_gpus
from avpipe.errors import FailureClass, UsageError
from avpipe.limits import TaskLimits
from avpipe.pacing import PaceConfig
from avpipe.resources import folder
from avpipe.stages import Pool
from avpipe.work import Order, Outcome

POOLS: tuple[Pool, ...] = ("net", "cpu", "gpu")


@dataclass(frozen=True)
class Profile:
    """Who does the work: a file in `workers/`, or the address of a scheduler."""

    name: str
    address: str | None = None
    pools: Mapping[str, int | str] | None = None
    pace: PaceConfig = field(default_factory=PaceConfig)
    limits: TaskLimits = field(default_factory=TaskLimits)

    def sizes(self, cpu_workers: int) -> dict[Pool, int]:
        """Workers per pool on this machine.

        Args:
            cpu_workers: what `--workers` says; 0: one per core.
        """
        pools = self.pools or {}
        cpu = pools.get("cpu", "auto")
        gpu = pools.get("gpu", "auto")
        return {
            "net": int(pools.get("net", 4)),
            "cpu": cpu_workers or (cpu_count() if cpu == "auto" else int(cpu)),
            "gpu": len(visible_gpus()) if gpu == "auto" else int(gpu),
        }


def read_profile(cluster: str | None) -> Profile:
    """The profile that `--cluster` names: a TOML file, a name in `workers/`, or `tcp://...`.

    Raises:
        UsageError: no such profile, or it is wrong; the text says what is allowed.
    """
    if cluster is not None and "://" in cluster:
        return replace(read_profile(None), name=cluster, address=cluster)
    path = _profile_path(cluster or "local")
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    for name in table:
        if name not in ("address", "pools", "pace", "limits"):
            raise UsageError(f"{path}: unknown key {name!r}; it has address, pools, pace, limits")
    for name, size in table.get("pools", {}).items():
        least = 0 if name == "gpu" else 1
        if name not in POOLS or (size != "auto" and (not isinstance(size, int) or size < least)):
            raise UsageError(
                f"{path} [pools] {name} = {size!r}: pools are {', '.join(POOLS)},"
                f" sizes whole numbers from {least} or 'auto'"
            )
    return Profile(
        path.stem,
        table.get("address"),
        table.get("pools"),
        configure(PaceConfig, table.get("pace", {}), f"{path} [pace]"),
        configure(TaskLimits, table.get("limits", {}), f"{path} [limits]"),
    )


def _profile_path(name: str) -> Path:
    shipped = folder("workers") / f"{name}.toml"
    path = shipped if shipped.is_file() else Path(name)
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in folder("workers").glob("*.toml")))
        raise UsageError(f"--cluster {name}: neither a file nor a profile; there are {there}")
    return path


class Pools:
    """Running workers. Use as a context manager.

    Args:
        profile: who does the work.
        needs: pool -> most tasks it will ever have at a time; no more workers are started.
        cpu_workers: what `--workers` says; 0: one per core.

    Raises:
        UsageError: a scheduler that has no worker for a pool that is needed.
    """

    def __init__(self, profile: Profile, needs: Mapping[Pool, int], cpu_workers: int = 0) -> None:
        self._profile = profile
        self.results: queue.SimpleQueue[tuple[Any, Outcome]] = queue.SimpleQueue()
        """(tag, outcome) of every order that ended."""
        _configure_dask()
        from distributed import Client

        self._cluster: Any = None
        if profile.address is None:
            sizes = profile.sizes(cpu_workers)
            self.slots = {p: min(sizes[p], n) for p, n in needs.items() if sizes[p]}
            self._cluster = _start(self.slots)
            self._client = Client(self._cluster)
        else:
            self._client = Client(profile.address, timeout=10)
            self.slots = _offered(self._client)
        self._client.register_plugin(_child_plugin())
        missing = [p for p in needs if p != "gpu" and not self.slots.get(p)]
        if missing:
            self.close()
            raise UsageError(
                f"{profile.name}: no worker offers {', '.join(missing)}; start one with"
                f' `dask worker {profile.address} --nthreads 1 --resources "{missing[0]}=1"`'
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, pool: Pool, order: Order, tag: Any) -> None:
        """Sends an order to a worker of the pool; `results` gets (tag, outcome)."""
        future = self._client.submit(
            _perform,
            order,
            pure=False,
            resources={pool: 1},
            key=f"{order.stage}-{order.key}-{id(tag)}",
        )
        future.add_done_callback(lambda f: self.results.put((tag, _outcome(f))))

    def close(self) -> None:
        """Ends the workers that were started here, and what they are doing."""
        with suppress(TimeoutError, OSError):
            self._client.close(timeout=5)
        if self._cluster is not None:
            with suppress(TimeoutError, OSError):
                self._cluster.close(timeout=10)


def _configure_dask() -> None:
    import dask

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    dask.config.set(
        {
            # a worker that dies twice with one task in flight: the task is to blame
            "distributed.scheduler.allowed-failures": 1,
            "distributed.scheduler.worker-ttl": None,
            "distributed.worker.memory.target": False,
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
            "distributed.worker.memory.terminate": False,
            "logging.distributed": "critical",
        }
    )


def _start(slots: Mapping[Pool, int]) -> Any:
    from distributed import Nanny, Scheduler, SpecCluster

    gpus = visible_gpus()
    specs = {}
    for pool, count in slots.items():
        for i in range(count):
            env = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            if pool == "gpu":
                env["CUDA_VISIBLE_DEVICES"] = gpus[i % len(gpus)]
            specs[f"{pool}-{i}"] = {
                "cls": Nanny,
                "options": {
                    "nthreads": 1,
                    "resources": {pool: 1},
                    "env": env,
                    "memory_limit": 0,
                    "silence_logs": logging.CRITICAL,
                    "dashboard": False,
                    "host": "127.0.0.1",
                },
            }
    interrupt = signal.getsignal(signal.SIGINT)
    with suppress(ValueError):  # only the main thread may set handlers
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is for the driver
    try:
        return SpecCluster(
            workers=specs,
            scheduler={
                "cls": Scheduler,
                "options": {"dashboard": False, "host": "127.0.0.1", "port": 0},
            },
            silence_logs=logging.CRITICAL,
        )
    finally:
        with suppress(ValueError):
            signal.signal(signal.SIGINT, interrupt)


def _offered(client: Any) -> dict[Pool, int]:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return {
        pool: count
        for pool in POOLS
        if (count := sum(int(w["resources"].get(pool, 0)) for w in workers))
    }


def _child_plugin() -> Any:
    from distributed import WorkerPlugin

    from avpipe.child import Child

    class ChildPlugin(WorkerPlugin):
        """Gives a worker its child process, and ends it with the worker."""

        name = "avpipe-child"

        def setup(self, worker: Any) -> None:
            worker.avpipe_child = Child()

        def teardown(self, worker: Any) -> None:
            worker.avpipe_child.close()

    return ChildPlugin()


def _perform(order: Order) -> Outcome:
    from distributed import get_worker

    worker: Any = get_worker()
    outcome: Outcome = worker.avpipe_child.perform(order)
    return replace(outcome, worker=str(worker.name))


def _outcome(future: Any) -> Outcome:
    if future.status == "finished":
        outcome: Outcome = future.result()
        return outcome
    return Outcome(
        failure=FailureClass.CRASHED,
        message=f"the worker died ({future.status}): {future.exception()}",
    )
