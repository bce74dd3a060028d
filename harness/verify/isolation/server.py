"""The process in which a backend runs while it is verified."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...worker.server import Server


class VerifyServer(Server):
    """Carries out programs: see execute.py."""

    def handlers(self) -> dict[type, Callable[[Any], Any]]:
        """Programs, beside what every worker answers."""
        from .execute import Program, execute

        return super().handlers() | {Program: lambda program: execute(self.backend_class, program)}
