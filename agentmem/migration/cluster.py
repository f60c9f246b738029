"""Rows made on Ray: batches go to workers that hold a model each, and come back in any order.

Starts a session of its own on this machine, or joins a cluster. Knows nothing of stores: what
makes rows of a batch is handed to it, and whoever asked for the rows commits them.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pyarrow as pa

from agentmem.errors import EmbeddingFailed, MissingDependency

if TYPE_CHECKING:
    from ray import ObjectRef

__all__ = ["MakeRows", "WorkersLost", "encode_with_ray", "import_ray"]

MakeRows: TypeAlias = Callable[[pa.Table], pa.Table]

AHEAD: Final = 2  # batches a worker has: the one it works at, and the next, so that it never waits
LIVES: Final = 3  # workers one batch may take with it: more, and it is the batch that kills them
LOOK: Final = 0.5  # seconds between two looks at whether to go on
STORE_BYTES: Final = 256 << 20  # for batches on their way; Ray takes 30 % of the memory by itself
LOOPBACK: Final = "127.0.0.1"  # a session of our own is reached from nowhere else
LONGEST_FOLDER: Final = 40  # Ray adds 64 to it for a socket's name, which may have 107 characters
CLUSTER: Final = "RAY_ADDRESS"  # the variable that names it to every program that uses Ray


class WorkersLost(EmbeddingFailed):
    """Workers kept dying over the same batch."""


@dataclass(slots=True)
class _Task:
    batch: pa.Table
    worker: Any = None
    deaths: int = 0


def encode_with_ray(
    batches: Iterable[pa.Table],
    make_rows: MakeRows,
    *,
    workers: int,
    address: str | None = None,
    alive: Callable[[], None] = lambda: None,
) -> Generator[pa.Table, None, None]:
    """Give the rows that workers make of batches, in any order, each batch's exactly once.

    A batch whose worker dies is given to another worker, so `make_rows` must only depend on the
    batch. At most `2 * workers` batches are held at a time; the next is read as one is done.

    Args:
        batches: What rows are made of; read as fast as the workers are.
        make_rows: Makes the rows of one batch. Pickled once for each worker and called there
            many times: what is costly, such as a model, it loads at its first call and keeps.
        workers: How many processes hold it; each counts as one processor.
        address: Of a cluster, as Ray takes it; None asks the variable RAY_ADDRESS, and without
            that starts the processes here, and stops them at the end.
        alive: Called about twice a second; what it raises ends everything.

    Raises:
        MissingDependency: Ray is not installed.
        WorkersLost: The same batch ended three workers.
        EmbeddingFailed: Ray could not be started or reached, or no worker could be made.
        Exception: Whatever `make_rows` raised, as it raised it.
    """
    ray = import_ray()
    with (
        _session(ray, workers=workers, address=address or os.environ.get(CLUSTER)),
        closing(_Pool(ray, make_rows, size=workers)) as pool,
    ):
        given = iter(batches)
        again: deque[_Task] = deque()
        running: dict[ObjectRef[pa.Table], _Task] = {}
        while True:
            _hand_out(given, again, free=pool.free, running=running)
            if not running:
                return
            done = _first(ray, running, alive=alive)
            task = running.pop(done)
            try:
                rows = _rows(ray, done)
            except ray.exceptions.RayActorError as error:
                again.append(_survived(task, error))
                pool.replace(task.worker)
                continue
            pool.free.append(task.worker)
            yield rows


def _hand_out(
    given: Iterator[pa.Table],
    again: deque[_Task],
    *,
    free: deque[Any],
    running: dict[ObjectRef[pa.Table], _Task],
) -> None:
    """Give each free worker a batch: first those whose worker died, then new ones."""
    while free:
        task = again.popleft() if again else _next(given)
        if task is None:
            return
        task.worker = free.popleft()
        running[task.worker.rows.remote(task.batch)] = task


def _next(given: Iterator[pa.Table]) -> _Task | None:
    batch = next(given, None)
    return None if batch is None else _Task(batch)


def _first(ray: Any, running: Iterable[ObjectRef[pa.Table]], *, alive: Callable[[], None]) -> Any:
    """Wait for the batch that is done next: by and by, so that no worker's rows pile up."""
    while True:
        done, _ = ray.wait(list(running), timeout=LOOK)
        alive()
        if done:
            return done[0]


def _rows(ray: Any, done: ObjectRef[pa.Table]) -> pa.Table:
    """Return what a worker made, or raise what it raised, without what Ray wraps it in."""
    try:
        rows: pa.Table = ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    return rows


def _survived(task: _Task, error: Any) -> _Task:
    """Count the death of a task's worker, or give up."""
    if error.actor_init_failed:
        said = str(error).strip().rpartition("\n")[2]
        raise EmbeddingFailed(
            f"a worker could not load what embeds ({said}). What was committed is kept. Repair: "
            "install the same packages, and the module of the embedder, where the workers run."
        ) from error
    task.deaths += 1
    if task.deaths >= LIVES:
        raise WorkersLost(
            f"{LIVES} workers died, one after the other, over the same {task.batch.num_rows} rows. "
            "What was committed is kept. Repair: see the error this one chains for how they died; "
            "give them more memory, or take fewer, and call again."
        ) from error
    return task


class _Pool:
    """The workers.

    Attributes:
        free: Those that may be given a batch, each as often as it may be given one.
    """

    def __init__(self, ray: Any, make_rows: MakeRows, *, size: int) -> None:
        self._ray = ray
        self._make: ObjectRef[MakeRows] = ray.put(make_rows)
        self._all: list[Any] = []
        self.free: deque[Any] = deque()
        for _ in range(size):
            self._add()

    def replace(self, worker: Any) -> None:
        """Put a new worker in the place of a dead one, when the first of its batches says so."""
        if worker in self._all:
            self._ray.kill(worker)  # it may only be out of reach, and would keep its processor
            self._all.remove(worker)
            self.free = deque(one for one in self.free if one != worker)
            self._add()

    def close(self) -> None:
        """Stop all of them: a session that is not ours goes on."""
        for worker in self._all:
            self._ray.kill(worker)

    def _add(self) -> None:
        """Start a worker; the call does not wait for it."""
        made = self._ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Worker)
        worker = made.remote(self._make)
        self._all.append(worker)
        self.free.extend([worker] * AHEAD)


class _Worker:
    """A process that holds what makes rows, and with it a model."""

    def __init__(self, make: MakeRows) -> None:
        self._make = make

    def rows(self, batch: pa.Table) -> pa.Table:
        """Return the rows of a batch."""
        return self._make(batch)


@contextmanager
def _session(ray: Any, *, workers: int, address: str | None) -> Iterator[None]:
    """Use the session that is there, or join or start one, which ends with the block."""
    if ray.is_initialized():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    with _short_folder() as folder:
        there = {"address": address} if address else _local(workers, folder=folder)
        path = {} if address else {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            _start(ray, {"TOKENIZERS_PARALLELISM": "false", **path}, there)
            yield
        finally:
            ray.shutdown()  # stops the workers, and a session of our own with them
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)  # Ray puts its own there


def _start(ray: Any, variables: Mapping[str, str], there: Mapping[str, Any]) -> None:
    """Start a session, or join one."""
    try:
        with _quietly():
            ray.init(
                log_to_driver=False,
                configure_logging=False,
                runtime_env={"env_vars": variables},
                **there,
            )
    except Exception as error:  # addresses, sockets, memory, tokens: no class in common
        raise EmbeddingFailed(
            f"Ray could not be started or reached at {there['address']} ({type(error).__name__}: "
            f"{error}). What was committed is kept. Repair: see that it runs and has room there, "
            "or use engine='local'."
        ) from error


def _local(workers: int, *, folder: str) -> dict[str, Any]:
    """Return how a session on this machine is to be."""
    if "RAY_AUTH_MODE" not in os.environ:  # else Ray would put a token in the home folder
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    return {
        "address": "local",
        "num_cpus": workers,
        "num_gpus": 0,
        "include_dashboard": False,
        "object_store_memory": STORE_BYTES,
        "_node_ip_address": LOOPBACK,
        "_temp_dir": folder,
    }


def _short_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder for a session, which is removed with it."""
    usual = tempfile.gettempdir()
    is_long = len(usual) > LONGEST_FOLDER and os.name == "posix"
    return tempfile.TemporaryDirectory(
        prefix="ray-",
        dir="/tmp" if is_long else usual,  # noqa: S108 - mkdtemp makes it, for this user only
        ignore_cleanup_errors=True,  # a worker may write its last words to it
    )


@contextmanager
def _quietly() -> Iterator[None]:
    """Leave out what is said when Ray starts."""
    log = logging.getLogger("ray")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Ray starts its processes by fork and exec, and nothing of LanceDB runs between.
            warnings.filterwarnings("ignore", "lancedb fork support", RuntimeWarning)
            yield
    finally:
        log.setLevel(before)


def import_ray() -> Any:
    """Import Ray, which then reports nothing to its makers.

    Raises:
        MissingDependency: It is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when a session starts
    try:
        import ray
    except ImportError as error:
        raise MissingDependency(
            "ray", extra="ray", purpose="a migration on several workers"
        ) from error
    return ray
