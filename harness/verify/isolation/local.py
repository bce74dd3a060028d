"""Runs programs in this process, for backends that do not crash it."""

from __future__ import annotations

from lstm_parity.backends import LSTMBackend

from ...worker.calls import FormError
from ..program import BackendFaultError, Program, ProgramResult
from .execute import execute


class LocalExecutor:
    """A backend class in this process."""

    def __init__(self, backend: type[LSTMBackend]) -> None:
        self._backend = backend

    def run(self, program: Program) -> ProgramResult:
        """See program.Executor."""
        try:
            return execute(self._backend, program)
        except FormError as error:
            raise BackendFaultError("form", str(error)) from error
        except Exception as error:
            raise BackendFaultError("raised", f"the backend raised {type(error).__name__}: {error}") from error
