"""Runs programs in a separate process for the backend, which may crash or hang without ending the suite."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from ...worker.client import WorkerClient, WorkerError
from ...worker.messages import Describe, Description
from ..program import BackendFaultError, Program, ProgramResult
from .server import VerifyServer
from .steady import LIMIT_S

IMPORT_S = 60.0
"""Seconds for starting a process and importing the backend in it, in addition to the limit of a call."""


class NotThereError(Exception):
    """The backend cannot be found or imported, or cannot run on this machine. The message says why."""


class RemoteExecutor:
    """One backend by name. timeout_s: limit of one program."""

    def __init__(self, backend: str, threads: int, timeout_s: float) -> None:
        self._backend, self._threads, self._timeout_s = backend, threads, timeout_s
        self._client: WorkerClient | None = None

    def describe(self) -> Description:
        """What the backend promises. Raises NotThereError, or BackendFaultError for a class that is not a backend."""
        try:
            found: Description = self._ask(Describe(), self._timeout_s + IMPORT_S)
        except WorkerError as error:
            if error.status == "UNAVAILABLE" or not self._alive:
                raise NotThereError(error.reason) from error
            raise BackendFaultError("raised", error.reason) from error
        why: object = found.unavailable
        if why is not None and not (isinstance(why, str) and why.strip()):
            raise BackendFaultError(
                "form", f"unavailable() returned {why!r}, expected None, or a reason why it cannot run here"
            )
        if why is not None:
            raise NotThereError(str(why))
        return found

    def run(self, program: Program) -> ProgramResult:
        """See program.Executor.

        A repeated call runs in a new process, whose memory no other program has used, with one thread, since the call is small.
        """
        if not program.repeat:
            return self._run(program)
        with closing(RemoteExecutor(self._backend, 1, self._timeout_s + LIMIT_S)) as new:
            return new._run(program)

    def _run(self, program: Program) -> ProgramResult:
        try:
            if not self._alive:
                self._ask(Describe(), self._timeout_s + IMPORT_S)
            result: ProgramResult = self._ask(program, self._timeout_s)
        except WorkerError as error:
            raise self._fault(error) from error
        return result

    def close(self) -> None:
        """End the process."""
        if self._client is not None:
            self._client.close()
            self._client = None

    @property
    def _alive(self) -> bool:
        return self._client is not None and self._client.alive

    def _ask(self, message: Any, limit_s: float) -> Any:
        if not self._alive:
            self.close()
            # the same alignment of arrays each time, so that the problems of a seed are rounded in the same way
            self._client = WorkerClient(VerifyServer, self._backend, self._threads, layout=0)
        assert self._client is not None
        return self._client.ask(message, limit_s)

    def _fault(self, error: WorkerError) -> BackendFaultError:
        match error.status:
            case "WRONG":
                return BackendFaultError("form", error.reason)
            case "TIMEOUT":
                return BackendFaultError("hung", f"no result within {self._timeout_s:g} s; --timeout gives a slow backend more")
            case "OUT_OF_MEMORY":
                return BackendFaultError("out of memory", f"{error.reason}, expected (y, LSTMState(h_n, c_n))")
            case "UNSUPPORTED" | "UNAVAILABLE":
                raised = f"the backend refused what its capabilities promise: {error.reason}"
                return BackendFaultError("raised", raised)
        if not self._alive:
            return BackendFaultError("ended", f"{error.reason}, expected (y, LSTMState(h_n, c_n))")
        return BackendFaultError("raised", f"the backend raised {error.reason}, expected (y, LSTMState(h_n, c_n))")
