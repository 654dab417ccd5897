"""Has the workers of a Dask cluster fuse: paths go there, reports come back, pixels stay.

Frames and pictures lie on a file system that client and workers see under the same paths. A worker
makes a picture under a private name; the client names and records it, as in a batch without a
cluster. A worker that is lost costs the brackets it was at, which others then fuse.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mefuse.batch.resume import Conditions, weights_of
from mefuse.batch.work import Failure, Made, Task, Work, failure_of
from mefuse.errors import DependencyError, DeviceError, InputError, WeightsError
from mefuse.fuse import load_model

if TYPE_CHECKING:
    from mefuse.models import Fuser
    from mefuse.settings import FuseSettings

_CONNECT_S = 5.0
_LOOK_AGAIN_S = 2.0
_LONELY_S = 10.0
_AHEAD = 2  # tasks per thread of the workers: one is fused, the next waits there
_GPU = {"GPU": 1}
_RETRIES = 2  # after an error of the machinery; errors of a bracket come back as values


class ClusterEngine:
    """The workers of a scheduler; see `batch.run.Engine`."""

    def __init__(
        self,
        url: str,
        settings: FuseSettings,
        conditions: Conditions,
        *,
        on_notice: Callable[[str], None],
    ) -> None:
        """Connects, and checks that the workers can do the work.

        Raises:
            DependencyError: Dask is not installed.
            InputError: there is no scheduler, or its workers have another mefuse.
            DeviceError: a GPU is asked for and no worker offers one.
        """
        self._url, self._conditions, self._on_notice = url, conditions, on_notice
        self._resources = _GPU if settings.device.startswith("cuda") else None
        self._client = _connected(url)
        self._done: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._futures: dict[str, Any] = {}
        self._threads, self._looked_s = 0, -_LOOK_AGAIN_S
        self._lonely_since_s: float | None = None
        try:
            self._check_workers()
        except BaseException:
            self._client.close()
            raise

    @property
    def busy(self) -> int:
        """How many tasks are submitted and not collected."""
        return len(self._futures)

    @property
    def has_room(self) -> bool:
        """Whether the workers could take another task soon."""
        if time.monotonic() - self._looked_s >= _LOOK_AGAIN_S:
            self._look()
        return self.busy < max(_AHEAD * self._threads, 1)

    def submit(self, name: str, task: Task) -> None:
        """Sends a task to the scheduler."""
        future = self._client.submit(
            fuse_task, task, self._conditions,
            pure=False, retries=_RETRIES, resources=self._resources,
        )  # fmt: skip
        self._futures[name] = future
        future.add_done_callback(lambda done: self._done.put((name, done)))

    def collect(self, timeout_s: float) -> tuple[str, Made | Failure] | None:
        """The next task that is done, None when none is after `timeout_s`.

        Raises:
            InputError: the scheduler is gone.
        """
        if self._client.status not in {"running", "connecting"}:
            raise self._gone()
        try:
            name, future = self._done.get(block=timeout_s > 0, timeout=timeout_s or None)
        except queue.Empty:
            return None
        if future.status in ("cancelled", "lost"):
            raise self._gone()
        del self._futures[name]
        if future.status == "error":
            return name, _failure(future.exception())
        result: Made | Failure = future.result()
        return name, result

    def close(self) -> list[Made]:
        """Calls off what is not done; workers notice and clear away what they were at."""
        if self._client.status == "closed":
            return []
        made = [future.result() for future in self._futures.values() if future.status == "finished"]
        self._client.cancel(list(self._futures.values()), force=True)
        self._futures.clear()
        self._client.close(timeout=_CONNECT_S)
        return [one for one in made if isinstance(one, Made)]

    def _gone(self) -> InputError:
        return InputError(
            f"{self._url}: the scheduler went away; start it and run the same command again, "
            "what is fused is skipped"
        )

    def _look(self) -> None:
        """Counts the workers' threads; says so once when there are none for a while."""
        self._looked_s = time.monotonic()
        self._threads = sum(self._client.nthreads().values())
        if self._threads:
            self._lonely_since_s = None
        elif self._lonely_since_s is None:
            self._lonely_since_s = self._looked_s
        elif 0 < self._lonely_since_s < self._looked_s - _LONELY_S:
            self._on_notice(f"{self._url}: has no workers; waiting for `dask worker {self._url}`")
            self._lonely_since_s = -1.0

    def _check_workers(self) -> None:
        """Refuses workers without mefuse, with another version, or without the GPU asked for."""
        try:
            versions = self._client.run(_version)
        except Exception as err:  # whatever a worker raises when it cannot import mefuse
            raise InputError(
                f"{self._url}: its workers cannot load mefuse ({type(err).__name__}: {err}); "
                "install it there"
            ) from err
        for address, version in versions.items():
            if version != self._conditions.version:
                raise InputError(
                    f"{address}: has mefuse {version}, here is {self._conditions.version}; "
                    "install the same everywhere"
                )
        if self._resources and versions:
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
            if not any(worker["resources"].get("GPU") for worker in workers):
                raise DeviceError(
                    f"{self._url}: no worker offers a GPU; start one with: dask worker {self._url} "
                    "--resources GPU=1"
                )


def _connected(url: str) -> Any:
    """A client of the scheduler."""
    try:
        from distributed import Client
    except ImportError as err:
        raise DependencyError(
            "--cluster needs Dask, which is not installed; pip install 'mefuse[cluster]'"
        ) from err
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters comes as an error
    try:
        return Client(url, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as err:
        raise InputError(
            f"{url}: no Dask scheduler answers there; start one with `dask scheduler`, "
            "and give its address, tcp://HOST:8786"
        ) from err


def _failure(error: BaseException) -> Failure:
    """Why a task has no result: an error of the machinery."""
    if type(error).__name__ == "KilledWorker":
        error = RuntimeError("every worker that tried it died; give the workers more memory")
    return failure_of(RuntimeError(str(error)), started_ns=time.time_ns())


# What follows runs on the workers.

_loading = threading.Lock()
_fusing = threading.Lock()  # one bracket at a time: fusing uses all cores, or the GPU, by itself
_loaded: dict[tuple[str, str], Fuser] = {}


class _Cancelled(Exception):  # noqa: N818  no error: nobody wants the picture any more
    """Leaves the work of a bracket at its next step."""


def fuse_task(task: Task, conditions: Conditions) -> Made | Failure:
    """Fuses one bracket on a worker, into a file under a private name."""
    work = Work(task, on_progress=lambda *_: _check_wanted())
    try:
        _check_weights(task.settings, conditions)
        work.prepare()
        with _fusing:
            work.fuse(lambda: _model(task.settings))
        made = work.write()
        try:
            _check_wanted()
        except _Cancelled:
            made.temporary.unlink(missing_ok=True)
            raise
        return made
    except Exception as error:  # told to the client, which records it
        return failure_of(error, started_ns=work.started_ns)


def _version() -> str:
    from mefuse import __version__

    return __version__


def _check_weights(settings: FuseSettings, conditions: Conditions) -> None:
    """Refuses weights other than the client's: the manifest would tell a lie."""
    here = weights_of(settings)
    if here != conditions.weights:
        raise WeightsError(
            f"{_worker_name()}: has other weights than the client; install the same mefuse there"
        )


def _model(settings: FuseSettings) -> Fuser:
    """The model, loaded once per worker."""
    key = settings.model, settings.device
    with _loading:
        if key not in _loaded:
            _loaded[key] = load_model(settings)
        return _loaded[key]


def _check_wanted() -> None:
    """Leaves when the client has called the task off or is gone."""
    from distributed import get_worker

    try:
        worker = get_worker()
        task = worker.state.tasks.get(worker.get_current_task())
    except (ValueError, KeyError):  # not in the task's own thread, which looks itself
        return
    if task is None or task.state == "cancelled":
        raise _Cancelled


def _worker_name() -> str:
    from distributed import get_worker

    return str(get_worker().address)
