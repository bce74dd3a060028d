"""The process in which a backend runs while it is verified."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...worker.server import Server


class VerifyServer(Server):
    """Executes programs (execute.py)."""

    def handlers(self) -> dict[type, Callable[[Any], Any]]:
        """Programs, in addition to the messages of every worker."""
        from ..program import Program
        from .execute import execute

        return super().handlers() | {Program: lambda program: execute(self.backend_class, program)}
