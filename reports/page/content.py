"""What a report says, from the checked rows: sentences, charts and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd

from ..charts import make_charts
from ..charts.chart import Chart
from ..charts.history import runs_table
from ..data import ReportData, SelectedRun
from ..findings import Findings, cells_table, wins_table
from ..fit import fit_lines
from ..history import find_history, move_sentence
from ..tables import Table, fits_table, machine_table, problems_table, results_table
from ..view import make_view
from ..wins import contests, margin_sentence, win_sentences
from . import suite, summary

_NOT_PUBLISHED = (
    "None of the published problems is in this run; `lstm-parity sweep deepbench` measures those of Baidu DeepBench, "
    "which its authors timed on a Tesla V100."
)


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the page."""

    key: str
    """Its address within the page."""
    title: str
    notes: list[str]
    """Sentences below the heading."""
    charts: list[Chart]
    tables: list[Table]


@dataclass(frozen=True, eq=False)
class Content:
    """What a page says, top to bottom."""

    title: str
    wins: list[str]
    """Which backend is fastest where."""
    more: list[str]
    """What else the verdict says."""
    bad: list[str]
    """What is not to be trusted."""
    failed: list[str]
    """The backends for which the property suite says FAIL."""
    unable: list[str]
    """Rows without a time that are neither WRONG nor SUSPECT."""
    unstable: list[str]
    """Rows with status UNSTABLE."""
    ran: list[str]
    """What the run was."""
    where: list[str]
    """Its machine and its time."""
    stamp: str
    """Run and machine in a line, for a picture."""
    sections: list[Section]
    found: Findings
    command: str

    @property
    def verdict(self) -> list[str]:
        """The report's sentences."""
        return [*self.wins, *self.bad, *self.unable, *self.unstable, *self.more]

    @property
    def charts(self) -> list[Chart]:
        """All charts, in their order on the page."""
        return [chart for section in self.sections for chart in section.charts]


def make_content(
    data: ReportData, run: SelectedRun, rows: pd.DataFrame, baseline: str, true_names: Mapping[str, str] = MappingProxyType({})
) -> Content:
    """rows: of the run, with ratios over the baseline. true_names: display name of a backend -> its name."""
    outcome, view = contests(rows, run.samples, baseline), make_view(rows)
    machine = str(rows["machine_id"].iloc[0])
    past = find_history(data, run, rows, view, baseline)
    verdicts = suite.newest_verdicts(data.verdicts, machine)
    failed = suite.with_verdict("FAIL", view.backends, verdicts)
    found = Findings(run, rows, baseline, failed, data.peaks, view, cells_table(view), wins_table(view, outcome, failed), past)
    charts = make_charts(found)
    commit = str(run.fingerprint.get("git_commit") or "")
    commands = suite.Commands(data.store, true_names)
    certain = summary.certainty(rows)
    trust = [*certain, *suite.suite_sentences(view.backends, verdicts, data.mutation_scores, commands, commit)]
    score = suite.score_sentence(data.mutation_scores, commands)
    moved = move_sentence(past, baseline)
    machines = ", ".join(map(str, rows["machine_id"].dropna().unique()))

    def section(key: Any, title: str, notes: Sequence[str] = (), tables: Sequence[Table] = ()) -> Section:
        mine = charts.get(key, [])
        every = [table for chart in mine for table in chart.tables] + list(tables)
        return Section(key, title, list(notes), mine, [table for table in every if len(table.cells)])

    sections = [
        section("wins", "Who wins where"),
        section("speed", "Speed", tables=[fits_table(fit_lines(rows))]),
        section("roof", "How close to the limits of this machine"),
        section("trust", "Trust", [*certain, score], [suite.suite_table(view.backends, verdicts, commands, commit)]),
        section("published", "Published times", [] if charts.get("published") else [_NOT_PUBLISHED]),
        section("history", "History", summary.past(past, moved), [runs_table(past)] if past.several else []),
        section("rows", "All rows", tables=[problems_table(rows), results_table(rows, baseline)]),
        section("machine", "The machine", tables=[machine_table(machines, run.fingerprint)]),
    ]
    return Content(
        title="LSTM parity report",
        wins=[*win_sentences(rows, outcome, failed), *margin_sentence(rows, outcome)],
        more=[*summary.all_timed(rows), *summary.floor_sentence(rows), *trust, *([moved] if moved else [])],
        bad=[*suite.failures(view.backends, verdicts), *summary.failed_rows(rows, summary.UNTRUSTED)],
        failed=failed,
        unable=summary.failed_rows(rows, summary.UNABLE),
        unstable=summary.failed_rows(rows, ("UNSTABLE",)),
        ran=[*summary.what_ran(run), summary.status_counts(rows), *view.notes],
        where=summary.where_and_when(run),
        stamp=summary.stamp(run),
        sections=[s for s in sections if s.charts or s.notes or s.tables],
        found=found,
        command=data.command,
    )
