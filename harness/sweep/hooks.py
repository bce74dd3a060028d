"""What Python calls by itself, at any moment, in the thread that serves a sweep: not while inputs are made ready.

A backend that is called then could do the work of the next call, while no clock runs. Between two calls of its own it therefore
has no profiler, no tracer, no timer and no garbage collection; all of them are back when the clock runs.
"""

from __future__ import annotations

import gc
import signal
import sys
from typing import Any

_TIMERS = [getattr(signal, name) for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF") if hasattr(signal, name)]
_NONE = (0.0, 0.0)


class Hooks:
    """Those of the main thread; `arm` gives back what `disarm` took."""

    def __init__(self) -> None:
        self._profile: Any = None
        self._trace: Any = None
        self._timers: list[tuple[float, float]] = []
        self._collects = False

    def disarm(self) -> None:
        """Take them away."""
        self._profile, self._trace, self._collects = sys.getprofile(), sys.gettrace(), gc.isenabled()
        sys.setprofile(None)
        sys.settrace(None)
        gc.disable()
        self._timers = [signal.setitimer(timer, 0.0) for timer in _TIMERS]

    def arm(self) -> None:
        """Give them back."""
        if self._collects:
            gc.enable()
        for timer, (seconds, interval) in zip(_TIMERS, self._timers, strict=False):
            if (seconds, interval) != _NONE:
                signal.setitimer(timer, seconds or interval, interval)
        sys.settrace(self._trace)
        sys.setprofile(self._profile)
