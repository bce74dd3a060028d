"""Verdicts in a store, from which the report takes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..machine.host import machine_id
from ..records import SuiteVerdict, now
from ..store import Store
from .formatting import checks_as_data, rounded_bits
from .results import BackendResult, Options


def check_store(path: Path | None) -> None:
    """Create the store if it does not exist. Raises CallError if it cannot be written to."""
    if path is not None:
        Store(path, create=True).close()


def keep_verdicts(path: Path, results: Sequence[BackendResult], machine: dict[str, Any], options: Options) -> None:
    """Write the verdicts, except those of interrupted runs, which would replace complete ones in the report."""
    finished_at, identifier = now(), machine_id(machine)
    verdicts = [
        SuiteVerdict(
            machine_id=identifier,
            backend=r.backend,
            verdict=r.verdict,
            checks=json.dumps(checks_as_data(r)),
            effective_bits=json.dumps(rounded_bits(r)),
            examples=options.examples,
            seed=options.seed,
            git_commit=machine["git_commit"],
            finished_at=finished_at,
        )
        for r in results
        if not r.interrupted
    ]
    with Store(path, create=True) as store:
        store.add_verdicts(verdicts)
