"""The workers of a run: one a backend, replaced when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lstm_parity.backends import Capabilities

from ..errors import CallError
from ..worker.client import WorkerClient, WorkerError
from ..worker.messages import Describe, Description
from .messages import Close
from .phase_timer import PhaseTimer
from .server import SweepServer

IMPORT_LIMIT_S = 180.0
CLOSE_LIMIT_S = 10.0


@dataclass(frozen=True)
class WorkerSpec:
    """How a worker is started."""

    backend: str
    """The backend's name in the worker."""
    module_path: tuple[str, ...] = ()
    """Where the worker looks for modules first."""
    layout: int | None = None
    """The layout of its arrays within a page, see WorkerClient."""


class Workers:
    """The workers of a run by label."""

    def __init__(self, specs: Mapping[str, WorkerSpec], threads: int, timer: PhaseTimer) -> None:
        self._specs, self._threads, self._timer = specs, threads, timer
        self._clients: dict[str, WorkerClient | WorkerError] = {}
        self.promises: dict[str, Capabilities] = {}
        """Of those that have started."""

    def start(self, *, all_needed: bool) -> None:
        """Start all workers and ask what they promise. Raises CallError for one that cannot run here, if all are needed."""
        for label in self._specs:  # all processes first: they import at the same time
            self._clients[label] = self._spawn(label)
        for label, client in self._clients.items():
            self._clients[label] = described = self._describe(label, client)
            if isinstance(described, WorkerError) and all_needed:
                raise CallError(f"backend {label}: {described.reason}")

    def ready(self) -> dict[str, WorkerClient | WorkerError]:
        """All workers with no cell open; those that ended are started again."""
        for label, client in self._clients.items():
            if isinstance(client, WorkerError):
                continue
            if client.alive:
                try:
                    client.resume()
                    client.ask(Close(), CLOSE_LIMIT_S)
                    continue
                except WorkerError:
                    client.kill()
            client.close()
            self._clients[label] = self._describe(label, self._spawn(label))
        return dict(self._clients)

    def running(self) -> dict[str, WorkerClient]:
        """Those of `ready` that run."""
        return {label: client for label, client in self.ready().items() if isinstance(client, WorkerClient)}

    def _spawn(self, label: str) -> WorkerClient | WorkerError:
        spec = self._specs[label]
        with self._timer.measure("setup"):
            try:
                return WorkerClient(SweepServer, spec.backend, self._threads, spec.module_path, spec.layout)
            except WorkerError as error:
                return error

    def _describe(self, label: str, client: WorkerClient | WorkerError) -> WorkerClient | WorkerError:
        if isinstance(client, WorkerError):
            return client
        try:
            with self._timer.measure("setup"):
                description: Description = client.ask(Describe(), IMPORT_LIMIT_S)
            if description.unavailable is not None:
                raise WorkerError("UNAVAILABLE", " ".join(str(description.unavailable).split()))
        except WorkerError as error:
            client.close()
            return error
        self.promises[label] = description.capabilities
        return client

    def close(self) -> None:
        """End all workers."""
        for client in self._clients.values():
            if isinstance(client, WorkerClient):
                client.close()
