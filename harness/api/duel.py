"""`lstm_parity.duel`: compares two backends, or two git revisions of one, in one interleaved run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lstm_parity.backends.spec import Precision

from ..compare.decide import Decided, Pair, decide, why_untimed
from ..compare.duel import DUEL_BUDGET_S, ROUNDS, duel_threads, run_duel
from ..compare.formatting import About, as_text, summary
from ..compare.revision import checked_out
from ..errors import CallError
from ..machine.host import fingerprint
from ..records import TIMED, now
from ..sweep.grid import Definition
from ..sweep.run import refuse_too_large
from ..text import Progress, describe_machine, show_progress, timestamp
from .naming import Backend, name_of
from .sweep import Mode, Sizes, define, describe_call
from .values import seconds, whole


@dataclass(frozen=True, repr=False)
class DuelResult:
    """The verdicts of a duel; printed, a table."""

    pairs: tuple[Decided, ...]
    """One cell each, with its verdict."""
    threshold: float
    """The least relative change that matters."""
    about: About

    @property
    def ok(self) -> bool:
        """Whether no pair is SLOWER or broken."""
        return not any(pair.bad for pair in self.pairs)

    def __str__(self) -> str:
        return as_text(self.pairs, self.threshold, self.about)

    def __repr__(self) -> str:
        return f"<DuelResult {self.about.title}; {summary(self.pairs)}>"


def duel(
    old: Backend,
    new: Backend,
    preset: str | Path = "smoke",
    *,
    sequence_length: Sizes | None = None,
    batch_size: Sizes | None = None,
    hidden_size: Sizes | None = None,
    input_size: Sizes | Literal["hidden"] | None = None,
    num_layers: Sizes | None = None,
    precision: Precision | Sequence[Precision] | None = None,
    mode: Mode | None = None,
    bidirectional: bool | None = None,
    warm: bool = False,
    threads: int | None = None,
    budget: float | None = None,
    threshold: float = 0.02,
    progress: bool = True,
) -> DuelResult:
    """Is `new` slower than `old`? `lstm-parity duel` in Python.

    Args:
        old, new: subclasses of LSTMBackend, or names, also BACKEND@REVISION of git.
        preset: a preset, or a TOML file: on which cells.
        sequence_length, batch_size, hidden_size, input_size, num_layers, precision, mode, bidirectional, warm: see `sweep`.
        threads: of both; one less than there are cores if None.
        budget: seconds of sampling a cell over all rounds.
        threshold: the least relative change that matters, between 0 and 1.
        progress: whether progress is shown on standard error.

    Raises:
        CallError: a side cannot run here, or no cell could be compared.
    """
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 < threshold < 1:
        raise CallError(f"threshold {threshold}: it must be between 0 and 1, such as 0.02")
    names = (name_of(old), name_of(new))
    axes: dict[str, Any] = {
        "sequence_length": sequence_length,
        "batch_size": batch_size,
        "hidden_size": hidden_size,
        "input_size": input_size,
        "num_layers": num_layers,
        "precision": precision,
        "mode": mode,
        "bidirectional": bidirectional,
        "cache": "warm" if warm else None,
    }
    threads, budget = whole("threads", threads, 1), seconds("budget", budget)
    definition = define_duel(str(preset), axes=axes, threads=threads, budget_s=budget)
    command = describe_call(
        "lstm_parity.duel", *names, str(preset), **axes, threads=threads, budget=budget, threshold=threshold
    )
    with show_progress(shown=progress) as display:
        pairs, about = measure(definition, *names, command, display)
    result = DuelResult(tuple(decide(pairs, threshold)), threshold, about)
    refuse_uncompared(result.pairs)
    return result


def define_duel(preset: str, *, axes: dict[str, Any], threads: int | None, budget_s: float | None) -> Definition:
    """The cells of a duel and how long they are sampled. Raises CallError."""
    definition, _ = define(preset, axes=axes, threads=threads, budget_s=budget_s, preset_budget_s=DUEL_BUDGET_S)
    refuse_too_large(definition.cells)
    return definition if threads is not None else replace(definition, threads=duel_threads())


def measure(definition: Definition, old: str, new: str, command: str, progress: Progress) -> tuple[list[Pair], About]:
    """Run the duel of two sides.

    Raises CallError for a side that does not exist, and where no cell is supported by both; a promise that only the old side
    kept makes a broken pair instead.
    """
    label, started_at = new if new != old else f"{new} (again)", now()
    with ExitStack() as stack:
        versions = {old: stack.enter_context(checked_out(old)), label: stack.enter_context(checked_out(new))}
        launches = {name: version.worker for name, version in versions.items()}
        pairs = run_duel(replace(definition, backends=(old, label)), launches, progress)
    if all(not pair.broken and "UNSUPPORTED" in (pair.old.status, pair.new.status) for pair in pairs):
        cells = f"{len(pairs)} cells are" if len(pairs) > 1 else f"{pairs[0].cell} is not"
        none = "none of the " if len(pairs) > 1 else ""
        raise CallError(f"nothing to compare: {none}{cells} supported by both sides; {why_untimed(pairs[0])}")
    machine, sides = fingerprint(), dict(zip(("old", "new"), versions.items(), strict=True))
    sampling = f"threads {definition.threads}, {definition.budget_s:g} s of sampling a cell over {ROUNDS} rounds"
    about = About(
        title=f"duel: {label} over {old}, {definition.title}",
        notes=(
            *(f"{side}: {name}, {version}" for side, (name, version) in sides.items()),
            f"{describe_machine(machine)}; {sampling}; {timestamp(started_at)}",
            "the times are medians of all rounds; the change is that of ratios within rounds, and need not be their quotient",
        ),
        facts={
            "kind": "duel",
            "command": command,
            "started_at": started_at,
            "old": old,
            "new": label,
            "commits": {side: {"commit": v.commit, "changed": v.changed} for side, (_, v) in sides.items()},
            "cells": definition.title,
            "threads": definition.threads,
            "budget_s": definition.budget_s,
            "rounds": ROUNDS,
            "machine": machine,
        },
    )
    return pairs, about


def refuse_uncompared(decided: Sequence[Decided]) -> None:
    """Raise CallError where nothing is bad and nothing could be compared, unless a side that was wrong is right now."""
    pairs = [d.pair for d in decided]
    fixed = any(pair.old.status in ("WRONG", "SUSPECT") and pair.new.status in TIMED for pair in pairs)
    if not any(d.bad for d in decided) and not fixed and all(pair.change is None for pair in pairs):
        raise CallError(f"nothing was compared: no cell has a time on both sides; {why_untimed(pairs[0])}")
