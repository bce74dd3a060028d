"""Times published by others, on their hardware, next to those of this run of the same problem."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from lstm_parity.harness.text import duration, significant

from ..findings import Findings
from ..labels import listed
from ..tables import Table
from .chart import Chart, Column, Feed, chart, columns, finish, interval
from .encodings import backend_encodings, log_scale, time_axis, time_range, time_text, tooltips

PROBLEM = ("precision", "mode", "num_layers", "sequence_length", "batch_size", "input_size", "hidden_size")
MAX_PROBLEMS = 24
_PLAIN = {"bidirectional": False, "proj_size": 0, "bias": True, "peephole": False, "lengths": "full"}
_PRODUCT = {
    "yes": "the same work", "no": "published without the product with the input",
    "unknown": "possibly published without the product with the input",
}  # fmt: skip
_COLUMNS = ["group", "problem", "who", "kind", "backend", "time", "low", "high", "source", "work"]


@chart(section="published", order=10)
def published(found: Findings) -> list[Chart]:
    """Published times and those of this run on one axis, a line a problem; none where no problem is shared."""
    table = published_table(found.rows)
    if table.empty:
        return []
    x = alt.X("time:Q", title="time per call", scale=log_scale(24), axis=time_axis("x"))
    y = alt.Y("problem:N", title=None, axis=alt.Axis(labelLimit=210, labelExpr="split(datum.label, '; ')"))
    tooltip = [
        *tooltips("who", kind="whose", text="time", interval="95% interval"),
        *tooltips("source", "work"),
    ]
    base = alt.Chart().transform_calculate(text=time_text("datum.time"), interval=time_range("datum.low", "datum.high"))
    theirs = base.transform_filter("datum.kind == 'theirs'").encode(x=x, y=y, tooltip=tooltip)
    ours = base.transform_filter("datum.kind == 'ours'").mark_point(size=80, filled=True, opacity=1)
    layered = alt.layer(
        theirs.mark_point(shape="diamond", size=110, strokeWidth=2, filled=False, color="#57606a").properties(
            name="inked_theirs"
        ),
        ours.encode(x=x, y=y, tooltip=tooltip, **backend_encodings(found.view)),
    )
    shown = Chart(
        name="published",
        title="Published times",
        spec=finish(layered, 760, 100),
        feeds={"rows": Feed("published", first_problems(table), all_groups=True)},
        captions={(0,): _caption(table)},
        key=_key(table),
        line_height=("problem", 40),
        columns=columns(
            "problem",
            Column("kind", "whose"),
            Column("who", "implementation, hardware"),
            "time",
            *interval("duration"),
            Column("work", "is it the same work?"),
            "source",
        ),
        wide=True,
        tables=(published_lines(table),),
    )
    return [shown]


def published_times() -> pd.DataFrame:
    """Every published time: source, hardware, implementation, PROBLEM, input_product_included (yes, no, unknown), ms."""
    return pd.read_csv(Path(__file__).with_name("published_times.csv"), comment="#")


def published_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The published times and those of the run, of every problem that both have, a record a time. rows: of the run."""
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
    """The first problems of a table of `published_table`, which the chart shows."""
    return table[table["problem"].isin(table["problem"].unique()[:MAX_PROBLEMS])]


def published_lines(table: pd.DataFrame) -> Table:
    """Each published time with the fastest one of the run, of the same problem."""
    best = table[table["kind"] == "ours"].sort_values("time").drop_duplicates("problem").set_index("problem")
    theirs: Any = table[table["kind"] == "theirs"]
    times = best["time"].astype("float64").to_dict()
    lines = [
        [t.problem, t.who, duration(t.time), best.at[t.problem, "who"], duration(times[t.problem]),
         significant(times[t.problem] / t.time), t.work, t.source]
        for t in theirs.itertuples()
    ]  # fmt: skip
    columns = [
        "problem",
        "published",
        "published time",
        "fastest here",
        "time here",
        "here / published",
        "the same work?",
        "source",
    ]
    note = "Published times were measured by others, on their hardware and by their method: they do not compare software."
    return Table(
        "Published times and the fastest of this run",
        note,
        pd.DataFrame(lines, columns=columns),
        frozenset({"published time", "time here", "here / published"}),
    )


def _problem(frame: pd.DataFrame) -> pd.Series[str]:
    sizes = zip(*(frame[c] for c in PROBLEM), strict=True)
    words = [
        f"{p} {m}; T={t} B={b} " + (f"I=H={h}" if i == h else f"I={i} H={h}") + f" L={l}" * (l > 1)
        for p, m, l, t, b, i, h in sizes
    ]
    return pd.Series(words, index=frame.index, dtype=object)


def _caption(table: pd.DataFrame) -> str:
    """The fastest time of this run over the fastest published one, by problem."""
    least = table.groupby(["kind", "problem"])["time"].min()
    factors = least["ours"] / least["theirs"]
    low, high = significant(factors.min()), significant(factors.max())
    at = str(factors.idxmin()).replace("; ", ", ")
    spread = (
        f"{low} times the fastest published one" if len(factors) == 1 else f"{low} to {high} times the fastest published one"
    )
    return f"The fastest time of this run is {spread} of the same problem, the least at {at}."


def _key(table: pd.DataFrame) -> str:
    theirs = table[table["kind"] == "theirs"]
    hardware = listed(list(dict.fromkeys(w.rpartition(", ")[2] for w in theirs["who"])))
    count = table["problem"].nunique()
    cut = f" The chart shows {MAX_PROBLEMS} of {count} shared problems, the table below all." if count > MAX_PROBLEMS else ""
    return (
        f"Hollow diamonds: published by others, measured on {hardware}; filled marks: this run. The hardware differs, so this "
        f"does not compare software.{cut}"
    )
