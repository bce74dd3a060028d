"""No callback of Python's runs while inputs are drawn: no profiler, tracer, timer or garbage collection.

A backend that is called back then could do the work of the next call before the clock starts. A collection at that moment would
also take time between samples at random.
"""

from __future__ import annotations

import gc
import signal
import sys
from typing import Any

_TIMERS = [getattr(signal, name) for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF") if hasattr(signal, name)]
_OFF = (0.0, 0.0)


class Hooks:
    """The callbacks of the main thread: `disarm` takes them away, `arm` restores them."""

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
        """Restore them."""
        if self._collects:
            gc.enable()
        for timer, (seconds, interval) in zip(_TIMERS, self._timers, strict=False):
            if (seconds, interval) != _OFF:
                signal.setitimer(timer, seconds or interval, interval)
        sys.settrace(self._trace)
        sys.setprofile(self._profile)
