"""The ratio to the baseline over the runs of one machine: a line a backend, and the tables beside it."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from .chart_parts import Chart, Feed, backend_encodings, dash, finish, log_axis, parts
from .drawn import Drawn
from .history import MOST_RUNS, History, listed_runs, turn_sentence
from .tables import Table
from .words import NOTHING, duration, significant

MOST_LINES = 100
_SHAKY = ("unstable", "then_unstable")


def history_chart(drawn: Drawn, found: History, baseline: str) -> Chart | None:
    """The chart; None where no cell was measured twice."""
    if found.table.empty:
        return None
    x = alt.X("run:N", title="run, the newest on the right", sort=alt.EncodingSortField("order"),
              axis=alt.Axis(labelAngle=-30, labelLimit=180, labelOverlap=False))  # fmt: skip
    scale = alt.Scale(type="log", nice=False, padding=14)
    y = alt.Y("ratio:Q", title="time over the baseline's time", scale=scale, axis=log_axis("y", "format(datum.value, '.3~r')"))
    base = alt.Chart().transform_calculate(
        interval="isValid(datum.low) ? format(datum.low, '.3~r') + ' to ' + format(datum.high, '.3~r') : '–'"
    )
    marks, turns = backend_encodings(drawn), turn_sentence(found) or ""
    tooltip = [
        alt.Tooltip("run:N"),
        alt.Tooltip("backend:N"),
        alt.Tooltip("ratio:Q", title="time over the baseline's", format=".3~r"),
        alt.Tooltip("interval:N", title="95% interval"),
    ]
    layers = alt.layer(
        base.mark_line(strokeWidth=1.6).encode(x=x, y=y, color=marks["color"], strokeDash=dash(drawn)),
        base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.6)
        .encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q", color=marks["color"]),
        base.mark_point(size=60, filled=True, opacity=1).encode(x=x, y=y, tooltip=tooltip, **marks),
    )  # fmt: skip
    return Chart(
        name="history",
        title="History",
        spec=finish(layers, 760, 260),
        feeds={"rows": Feed("history", ("steps", "batch"))},
        captions={g: f"{_caption(part, baseline)} {turns}".strip() for g, part in parts(found.moves, "group")},
        columns=(
            ("run", "run"), ("backend", "backend"), ("steps", "sequence length"), ("batch", "batch size"),
            ("ratio", "time over the baseline's"), ("low", "from"), ("high", "to"),
        ),
        wide=True,
    )  # fmt: skip


def moves_table(found: History, drawn: Drawn, baseline: str) -> Table:
    """Every ratio then and now, the largest change first."""
    moves = found.moves.head(MOST_LINES)
    text = pd.DataFrame({"backend": moves["backend"]})
    if len(drawn.groups) > 1:
        text["where"] = [drawn.groups["title"][g] for g in moves["group"]]
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
    cut = f" The {MOST_LINES} largest changes of {len(found.moves):,}." if len(found.moves) > MOST_LINES else ""
    shaky = " ~: of a time that is UNSTABLE." if found.moves[list(_SHAKY)].any(axis=None) else ""
    note = (
        f"Time over {baseline}'s time, with the 95% intervals of each run. An interval speaks of its own run; what "
        "differs between runs of a shared machine may be the machine: lstm-parity duel tells. The times show whose moved, as "
        f"far as times of two hours can.{shaky}{cut}"
    )
    numeric = frozenset({"sequence length", "batch size", "then", "now", "now / then"})
    return Table("What moved since the run before", note, text, numeric)


def runs_table(found: History) -> Table:
    """The runs of this machine, the newest first; what the chart leaves out in one line."""
    runs = found.runs.iloc[::-1]
    shown = runs.head(2 * MOST_RUNS)
    text = pd.DataFrame(
        {
            "run": shown["run_id"].astype(str),
            "name": [n or NOTHING for n in shown["name"]],
            "started": shown["when"],
            "commit": [c or NOTHING for c in shown["commit"]],
            "rows": [f"{n:,}" for n in shown["rows"]],
        }
    )
    rest = runs.iloc[2 * MOST_RUNS :]
    notes = []
    if len(rest):
        notes.append(
            f"And {len(rest):,} older runs, from {rest['when'].iloc[-1]} to {rest['when'].iloc[0]}, {rest['rows'].sum():,} rows"
        )
    if len(runs) > MOST_RUNS:
        notes.append(f"The chart shows the newest {MOST_RUNS}.")
    if found.elsewhere:
        are = "run of other machines is" if found.elsewhere == 1 else "runs of other machines are"
        notes.append(f"{found.elsewhere:,} {are} in the store, never joined with these.")
    return Table("Runs of this machine", " ".join(notes), text, frozenset({"rows"}))


def _ratio(value: float, low: float, high: float, unstable: bool) -> str:
    interval = "" if np.isnan(low) else f" ({significant(low)} to {significant(high)})"
    return f"{'~' if unstable else ''}{significant(value)}{interval}"


def _times(then: float, now: float) -> str:
    return f"{duration(then)}, {duration(now)}"


def _caption(part: pd.DataFrame, baseline: str) -> str:
    moved = int(part["moved"].sum())
    says = [
        f"Time over {baseline}'s time. Since {listed_runs(part)}, {moved} of {len(part)} ratios moved beyond both intervals"
    ]
    for backend, lines in part.groupby("backend"):
        says.append(
            f"{backend}: {significant(float(np.exp(np.log(lines['change']).mean())))} of what it was, on geometric average"
        )
    bars = "Vertical bars: 95% intervals within a run; runs of the same code may differ by more"
    says = [*says[:7], "Below 1 is faster than the baseline", bars]
    return ". ".join(says) + "."
