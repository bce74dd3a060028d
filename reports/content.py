"""What a report says, from the checked rows: sentences, charts with their records, tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import pandas as pd

from . import lead, suite
from .chart_parts import Chart
from .drawn import Drawn, draw_from
from .fit import fit_lines
from .frame import ReportData, Run
from .history import history, move_sentence
from .history_chart import history_chart, moves_table, runs_table
from .published import first_problems, published_chart, published_lines, published_table
from .records import cells_table, ratios_table, wins_table
from .roofline import roofline, roofs_table
from .speed_chart import speed_chart
from .tables import Table, fits_table, machine_table, problems_table, results_table
from .time_chart import time_charts
from .trust import bits_chart, bound_chart
from .win_map import win_map
from .wins import contests, margin_sentence, win_sentences

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the page: a heading, what to know, charts, tables."""

    key: str
    title: str
    notes: list[str]
    charts: list[Chart]
    tables: list[Table]


@dataclass(frozen=True, eq=False)
class Content:
    """What a page says, top to bottom.

    wins, more: the verdict; bad: what is not to be trusted; failed: the backends of which the property suite says FAIL;
    unable, shaky: rows that are not PASSED; ran, where: the run and its machine; stamp: both in a line, for a picture. records:
    the tables behind the charts by name. baseline: what ratios are over.
    """

    title: str
    wins: list[str]
    more: list[str]
    bad: list[str]
    failed: list[str]
    unable: list[str]
    shaky: list[str]
    ran: list[str]
    where: list[str]
    stamp: str
    sections: list[Section]
    records: dict[str, pd.DataFrame]
    drawn: Drawn
    baseline: str
    command: str

    @property
    def verdict(self) -> list[str]:
        """The report in words."""
        return [*self.wins, *self.bad, *self.unable, *self.shaky, *self.more]


def make_content(
    data: ReportData, run: Run, rows: pd.DataFrame, baseline: str, true_names: Mapping[str, str] = MappingProxyType({})
) -> Content:
    """rows: of the run, with ratios over the baseline. true_names: of backends that are shown by another one."""
    outcome = contests(rows, run.samples, baseline)
    drawn = draw_from(rows)
    machine = str(rows["machine_id"].iloc[0])
    past = history(data, run, rows, drawn, baseline)
    shared = published_table(rows)
    records = {
        "cells": cells_table(drawn),
        "wins": wins_table(drawn, outcome),
        "ratios": ratios_table(run.samples, drawn, baseline),
        "roofs": roofs_table(drawn, data.peaks, machine),
        "published": first_problems(shared),
        "history": past.table,
    }
    cells, verdicts = records["cells"], suite.newest_verdicts(data.verdicts, machine)
    failed = suite.with_verdict("FAIL", drawn.backends, verdicts)
    fits = fit_lines(rows)
    commit = str(run.fingerprint.get("git_commit") or "")
    timed = bool(rows["timed"].any())
    speed_up = speed_chart(drawn, records["ratios"])
    roof = _some(roofline(drawn, cells, records["roofs"]))
    names = ", ".join(map(str, rows["machine_id"].dropna().unique()))
    store = suite.Commands(data.store, true_names)
    trust = [*lead.certainty(rows), *suite.suite_sentences(drawn.backends, verdicts, data.mutation_scores, store, commit)]
    notes = [*lead.certainty(rows), suite.score_sentence(data.mutation_scores, store)]
    sections = [
        Section("wins", "Who wins where", [], [win_map(drawn, records["wins"], failed)] if timed else [], []),
        Section("speed", "Speed", [], [*time_charts(drawn, cells, records["wins"]), *_some(speed_up)], [fits_table(fits)]),
        Section("roof", "How far from what is possible", [], roof, []),
        Section("trust", "Trust", notes, [*_some(bits_chart(drawn, cells)), *_some(bound_chart(drawn, cells))],
                [suite.suite_table(drawn.backends, verdicts, store, commit)]),
        _published(drawn, shared),
        Section("history", "History", lead.past(past, baseline), _some(history_chart(drawn, past, baseline)),
                [moves_table(past, drawn, baseline), *([runs_table(past)] if len(past.runs) > 1 or past.elsewhere else [])]),
        Section("rows", "All rows", [], [], [problems_table(rows), results_table(rows, baseline)]),
        Section("machine", "The machine", [], [], [machine_table(names, run.fingerprint)]),
    ]  # fmt: skip
    kept = [
        Section(s.key, s.title, s.notes, s.charts, [t for t in s.tables if len(t.cells)])
        for s in sections
        if s.charts or s.notes or any(len(t.cells) for t in s.tables)
    ]
    return Content(
        title="LSTM parity report",
        wins=[*win_sentences(rows, outcome, failed), *margin_sentence(rows, outcome)],
        more=[*lead.all_ran(rows), *lead.floor_sentences(rows), *trust, *_some(move_sentence(past, baseline))],
        bad=[*suite.failures(drawn.backends, verdicts), *lead.what_failed(rows, lead.BAD)],
        failed=failed,
        unable=lead.what_failed(rows, lead.UNABLE),
        shaky=lead.what_failed(rows, ("UNSTABLE",)),
        ran=[*lead.what_ran(run), lead.statuses(rows), *drawn.notes],
        where=lead.where_and_when(run),
        stamp=lead.stamp(run),
        sections=kept,
        records=records,
        drawn=drawn,
        baseline=baseline,
        command=data.command,
    )


def _published(drawn: Drawn, table: pd.DataFrame) -> Section:
    if table.empty:
        none = (
            "None of the published problems is in this run; lstm-parity sweep deepbench measures those of Baidu DeepBench, "
            "which its authors timed on a Tesla V100."
        )
        return Section("published", "Published figures beside ours", [none], [], [])
    return Section(
        "published", "Published figures beside ours", [], _some(published_chart(drawn, table)), [published_lines(table)]
    )


def _some(item: T | None) -> list[T]:
    return [] if item is None else [item]
