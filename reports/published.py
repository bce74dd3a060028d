"""Times that others published, beside ours of the same problem: theirs, on their hardware, marked as such."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import altair as alt
import pandas as pd

from .chart_parts import Chart, Feed, backend_encodings, between, finish, listed, time_axis, time_words
from .drawn import Drawn
from .tables import Table
from .words import duration, significant

PROBLEM = ("precision", "mode", "num_layers", "sequence_length", "batch_size", "input_size", "hidden_size")
MOST_PROBLEMS = 24
_PLAIN = {"bidirectional": False, "proj_size": 0, "bias": True, "peephole": False, "lengths": "full"}
_PRODUCT = {
    "yes": "the same work", "no": "theirs leaves out the product with the input",
    "unknown": "theirs may leave out the product with the input",
}  # fmt: skip
_COLUMNS = ["group", "problem", "who", "kind", "backend", "time", "low", "high", "source", "work"]


def published_times() -> pd.DataFrame:
    """Every published time: source, hardware, implementation, PROBLEM, input_product_included (yes, no, unknown), ms."""
    with (files("reports") / "data" / "published_times.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, comment="#")


def published_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Theirs and ours of every problem that both have, one record a time; rows: of the run."""
    ours = rows[rows["timed"]]
    for column, value in _PLAIN.items():
        ours = ours[ours[column] == value]
    keys = list(PROBLEM)
    kinds = {c: "object" if c in ("precision", "mode") else "int64" for c in keys}
    theirs = published_times().astype(kinds)
    plain = ours.astype(kinds) if len(ours) else ours.astype({c: k for c, k in kinds.items() if k == "object"})
    shared = theirs.merge(plain[keys].drop_duplicates(), on=keys)
    plain = plain.merge(shared[keys].drop_duplicates(), on=keys)
    said = pd.DataFrame(
        {
            "group": 0,
            "problem": _problem(shared),
            "who": shared["implementation"] + ", " + shared["hardware"],
            "kind": "theirs",
            "backend": None,
            "time": shared["ms"] / 1e3,
            "source": shared["source"],
            "work": shared["input_product_included"].map(_PRODUCT),
        }
    )
    mine = pd.DataFrame(
        {
            "group": 0,
            "problem": _problem(plain),
            "who": plain["backend"].astype(object),
            "kind": "ours",
            "backend": plain["backend"].astype(object),
            "time": plain["median_s"],
            "low": plain["ci_low_s"],
            "high": plain["ci_high_s"],
            "source": "this run",
            "work": None,
        }
    )
    both = pd.concat([f for f in (said, mine) if len(f)] or [said]).reindex(columns=_COLUMNS)
    both = both.sort_values(["problem", "kind", "time"], kind="stable", ascending=[True, False, True])
    texts = ("problem", "who", "kind", "backend", "source", "work")
    return both.astype(dict.fromkeys(texts, "object")).reset_index(drop=True)


def first_problems(table: pd.DataFrame) -> pd.DataFrame:
    """What the chart shows of a table of `published_table`."""
    return table[table["problem"].isin(table["problem"].unique()[:MOST_PROBLEMS])]


def published_chart(drawn: Drawn, table: pd.DataFrame) -> Chart | None:
    """Theirs and ours on one axis of time, a line a problem; None where no problem is shared. table: of all problems."""
    if table.empty:
        return None
    x = alt.X("time:Q", title="time per call", scale=alt.Scale(type="log", nice=False, padding=24), axis=time_axis("x"))
    y = alt.Y("problem:N", title=None, axis=alt.Axis(labelLimit=210, labelExpr="split(datum.label, '; ')"))
    tooltip = [
        alt.Tooltip("who:N"),
        alt.Tooltip("kind:N", title="whose"),
        alt.Tooltip("said:N", title="time"),
        alt.Tooltip("interval:N", title="95% interval"),
        alt.Tooltip("source:N"),
        alt.Tooltip("work:N"),
    ]
    base = alt.Chart().transform_calculate(said=time_words("datum.time"), interval=between("datum.low", "datum.high"))
    theirs = base.transform_filter("datum.kind == 'theirs'").encode(x=x, y=y, tooltip=tooltip)
    ours = base.transform_filter("datum.kind == 'ours'").mark_point(size=80, filled=True, opacity=1)
    chart = alt.layer(
        theirs.mark_point(shape="diamond", size=110, strokeWidth=2, filled=False, color="#57606a").properties(
            name="inked_theirs"
        ),
        ours.encode(x=x, y=y, tooltip=tooltip, **backend_encodings(drawn)),
    )
    return Chart(
        name="published",
        title="Published figures beside ours",
        spec=finish(chart, 760, 100),
        feeds={"rows": Feed("published", everywhere=True)},
        captions={0: _caption(table)},
        lines=("problem", 40),
        columns=(
            ("problem", "problem"), ("kind", "whose"), ("who", "who and on what"), ("time", "time per call"), ("low", "from"),
            ("high", "to"), ("work", "is it the same work?"), ("source", "source"),
        ),
        wide=True,
    )  # fmt: skip


def published_lines(table: pd.DataFrame) -> Table:
    """Each published time with our fastest one of the same problem."""
    best = table[table["kind"] == "ours"].sort_values("time").drop_duplicates("problem").set_index("problem")
    theirs: Any = table[table["kind"] == "theirs"]
    times = best["time"].astype("float64").to_dict()
    lines = [
        [t.problem, f"{t.who} (theirs)", duration(t.time), best.at[t.problem, "who"], duration(times[t.problem]),
         significant(times[t.problem] / t.time), t.work, t.source]
        for t in theirs.itertuples()
    ]  # fmt: skip
    columns = ["problem", "theirs", "their time", "our fastest", "our time", "ours / theirs", "the same work?", "source"]
    note = (
        "Theirs were measured by others, on their hardware and by their method: a note beside ours, no comparison of software."
    )
    return Table(
        "Theirs beside our fastest",
        note,
        pd.DataFrame(lines, columns=columns),
        frozenset({"their time", "our time", "ours / theirs"}),
    )


def _problem(frame: pd.DataFrame) -> pd.Series[str]:
    sizes = zip(*(frame[c] for c in PROBLEM), strict=True)
    words = [
        f"{p} {m}; T={t} B={b} " + (f"I=H={h}" if i == h else f"I={i} H={h}") + f" L={l}" * (l > 1)
        for p, m, l, t, b, i, h in sizes
    ]
    return pd.Series(words, index=frame.index, dtype=object)


def _caption(table: pd.DataFrame) -> str:
    theirs, ours = table[table["kind"] == "theirs"], table[table["kind"] == "ours"]
    hardware = listed(list(dict.fromkeys(w.rpartition(", ")[2] for w in theirs["who"])))
    least = theirs.groupby("problem")["time"].min()
    factor = ours.groupby("problem")["time"].min() / least
    spread = (
        f"{significant(factor.min())}" if len(factor) == 1 else f"{significant(factor.min())} to {significant(factor.max())}"
    )
    count = table["problem"].nunique()
    cut = f" The chart shows {MOST_PROBLEMS} of {count} shared problems, the table below all." if count > MOST_PROBLEMS else ""
    return (
        f"Hollow diamonds are theirs, measured by others on {hardware}; filled points are ours, on this machine. Our fastest "
        f"takes {spread} times as long as their fastest of the same problem. On different hardware: how far apart the two are, "
        f"not which software is better.{cut}"
    )
