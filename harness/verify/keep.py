"""Verdicts and the suite's own score in a store, from which the report takes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..machine.host import fingerprint, machine_id
from ..records import MutationScore, Verdict, now
from ..store import Store
from .formatting import checks_as_data, rounded_bits
from .suite import BackendResult, Options

if TYPE_CHECKING:
    from ..faults.mutants.score import Score


def check_store(path: Path | None) -> None:
    """Make the store where there is none. Raises CallError where nothing could be written to it in the end."""
    if path is not None:
        Store(path, create=True).close()


def keep_verdicts(path: Path, results: Sequence[BackendResult], machine: dict[str, Any], options: Options) -> None:
    """Write the verdicts; of one that was interrupted nothing, since it would stand in the place of one that was not."""
    finished_at, which = now(), machine_id(machine)
    verdicts = [
        Verdict(
            machine_id=which,
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


def keep_score(path: Path, score: Score) -> None:
    """Write the score."""
    kept = MutationScore(
        total=len(score.wrong),
        killed=len(score.wrong) - len(score.survivors),
        survivors=json.dumps([o.name for o in score.survivors]),
        false_alarms=json.dumps([o.name for o in score.false_alarms]),
        git_commit=fingerprint()["git_commit"],
        finished_at=now(),
    )
    with Store(path, create=True) as store:
        store.add_mutation_score(kept)
