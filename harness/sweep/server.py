"""The worker of a sweep: it opens a cell, makes the checked call, times calls, and sends back what they returned."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ..machine.memory_usage import reset_peak_memory
from ..worker.server import Server

if TYPE_CHECKING:
    from .messages import Close, Open, Opened
    from .session import Session


class SweepServer(Server):
    """One backend, and the cell that is open."""

    def __init__(self, backend_name: str) -> None:
        super().__init__(backend_name)
        self._session: Session | None = None
        self._clock = perf_counter  # read before the backend is imported, which may patch time.perf_counter

    def handlers(self) -> dict[type, Callable[[Any], Any]]:
        """See Server. Every message but Open and Close concerns the open cell."""
        from . import messages as m

        return super().handlers() | {
            m.Open: self._open,
            m.CheckRequest: lambda x: self._opened().check(x),
            m.Prepare: lambda x: self._opened().prepare(x),
            m.Go: lambda _: self._opened().go(),
            m.Fetch: lambda x: self._opened().fetch(x),
            m.Memory: lambda _: self._opened().memory(),
            m.Close: self._close,
        }

    def _opened(self) -> Session:
        assert self._session is not None, "no cell is open"
        return self._session

    def _open(self, message: Open) -> Opened:
        from .session import Session

        self._close()
        reset_peak_memory()
        self._session = Session(self.backend_class, message, self._clock)
        return self._session.opened

    def _close(self, _: Close | None = None) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            session.close()
