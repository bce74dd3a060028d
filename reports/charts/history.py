"""The ratio to the baseline over the runs of one machine, and the tables of changes and of runs."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from lstm_parity.harness.text import MISSING, duration, significant

from ..data import parts_by
from ..findings import Findings
from ..history import MAX_RUNS, History, listed_runs
from ..tables import Table
from ..view import View
from .chart import Chart, Column, Feed, chart, columns, finish, interval
from .encodings import backend_encodings, dash, log_axis, log_scale, tooltips

MAX_LINES = 100
_SHAKY = ("unstable", "then_unstable")


_KEY = (
    "Time over the baseline's time; below 1 is faster. Vertical bars: 95% intervals within a run; "
    "runs of the same code may differ by more."
)


@chart(section="history", order=10)
def history(found: Findings) -> list[Chart]:
    """Ratios over the runs; none where no cell was measured twice."""
    past = found.history
    if past.table.empty:
        return []
    x = alt.X("run:N", title="run, the newest on the right", sort=alt.EncodingSortField("order"),
              axis=alt.Axis(labelAngle=-30, labelLimit=180, labelOverlap=False))  # fmt: skip
    scale = log_scale()
    y = alt.Y("ratio:Q", title="time over the baseline's time", scale=scale, axis=log_axis("y", "format(datum.value, '.3~r')"))
    base = alt.Chart().transform_calculate(
        interval="isValid(datum.low) ? format(datum.low, '.3~r') + ' to ' + format(datum.high, '.3~r') : '–'"
    )
    marks = backend_encodings(found.view)
    tooltip = [
        *tooltips("run", "backend"),
        alt.Tooltip("ratio:Q", title="time over the baseline's", format=".3~r"),
        *tooltips(interval="95% interval"),
    ]
    layers = alt.layer(
        base.mark_line(strokeWidth=1.6).encode(x=x, y=y, color=marks["color"], strokeDash=dash(found.view)),
        base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.6)
        .encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q", color=marks["color"]),
        base.mark_point(size=60, filled=True, opacity=1).encode(x=x, y=y, tooltip=tooltip, **marks),
    )  # fmt: skip
    shown = Chart(
        name="history",
        title="History",
        spec=finish(layers, 760, 260),
        feeds={"rows": Feed("history", past.table, ("steps", "batch"))},
        captions={key: _caption(part, found.baseline) for key, part in parts_by(past.moves, "group")},
        key=_KEY,
        columns=columns("run", "backend", "steps", "batch", Column("ratio", "time over the baseline's"), *interval()),
        wide=True,
        tables=(moves_table(past, found.view, found.baseline),),
    )
    return [shown]


def moves_table(found: History, view: View, baseline: str) -> Table:
    """Every ratio then and now, the largest change first."""
    moves = found.moves.head(MAX_LINES)
    text = pd.DataFrame({"backend": moves["backend"]})
    if len(view.groups) > 1:
        text["where"] = [view.groups["title"][g] for g in moves["group"]]
    text["sequence length"] = [f"{v:,}" for v in moves["steps"]]
    text["batch size"] = [f"{v:,}" for v in moves["batch"]]
    text["then"] = [_ratio(*v) for v in zip(*(moves[f"then{c}"] for c in ("", "_low", "_high", "_unstable")), strict=True)]
    text["now"] = [_ratio(*v) for v in zip(*(moves[c] for c in ("ratio", "low", "high", "unstable")), strict=True)]
    text["now / then"] = [significant(v) for v in moves["change"]]
    text["intervals apart?"] = ["no interval" if np.isnan(gap) else "yes" if m else "no" for gap, m in
                                zip(moves["low"] + moves["then_low"], moves["moved"], strict=True)]  # fmt: skip
    text["its time, then and now"] = [_times(*v) for v in zip(moves["then_time"], moves["time"], strict=True)]
    text[f"{baseline}'s, then and now"] = [_times(*v) for v in zip(moves["then_base_time"], moves["base_time"], strict=True)]
    text["since"] = moves["since"]
    cut = f" The {MAX_LINES} largest changes of {len(found.moves):,}." if len(found.moves) > MAX_LINES else ""
    shaky = " ~: a time is UNSTABLE." if found.moves[list(_SHAKY)].any(axis=None) else ""
    note = (
        f"Time over {baseline}'s time, with the 95% interval of each run. An interval covers one run; two runs on a shared "
        f"machine may differ because of the machine. To find out, run `lstm-parity duel`.{shaky}{cut}"
    )
    numeric = frozenset({"sequence length", "batch size", "then", "now", "now / then"})
    return Table("Changes since the previous run", note, text, numeric)


def runs_table(found: History) -> Table:
    """The runs of this machine, the newest first."""
    runs = found.runs.iloc[::-1]
    shown = runs.head(2 * MAX_RUNS)
    text = pd.DataFrame(
        {
            "run": shown["run_id"].astype(str),
            "name": [n or MISSING for n in shown["name"]],
            "started": shown["when"],
            "commit": [c or MISSING for c in shown["commit"]],
            "rows": [f"{n:,}" for n in shown["rows"]],
        }
    )
    rest = runs.iloc[2 * MAX_RUNS :]
    notes = []
    if len(rest):
        notes.append(
            f"And {len(rest):,} older runs, from {rest['when'].iloc[-1]} to {rest['when'].iloc[0]}, {rest['rows'].sum():,} rows"
        )
    if len(runs) > MAX_RUNS:
        notes.append(f"The chart shows the newest {MAX_RUNS}.")
    if found.elsewhere:
        are = "run of other machines is" if found.elsewhere == 1 else "runs of other machines are"
        notes.append(f"{found.elsewhere:,} {are} in the store and not compared with these.")
    return Table("Runs of this machine", " ".join(notes), text, frozenset({"rows"}))


def _ratio(value: float, low: float, high: float, unstable: bool) -> str:
    interval = "" if np.isnan(low) else f" ({significant(low)} to {significant(high)})"
    return f"{'~' if unstable else ''}{significant(value)}{interval}"


def _times(then: float, now: float) -> str:
    return f"{duration(then)}, {duration(now)}"


def _caption(part: pd.DataFrame, baseline: str) -> str:
    moved = int(part["moved"].sum())
    most = part.iloc[0]
    said = f"Since {listed_runs(part)}, {moved} of {len(part)} ratios to {baseline} changed beyond both intervals"
    if not moved:
        return f"{said}."
    return (
        f"{said}, the most that of {most['backend']} at T={most['steps']:,}, B={most['batch']:,}: "
        f"{significant(most['change'])} times the earlier one."
    )
