"""Who wins where: sequence length x batch size, coloured by the fastest backend, with the borders between their fields."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import altair as alt
import pandas as pd

from .chart_parts import COLOURS, KEYS, PALE, Chart, Feed, by_backend, finish, legend_columns, listed, parts
from .drawn import Drawn
from .records import NONE
from .wins import ALONE, TIE, UNDECIDED, WIN, with_warning
from .words import cells, significant

INKS = {c: "#ffffff" if c in ("#0072B2", "#8C6D31") else "#000000" for c in COLOURS}
"""What is readable on each colour (4.5 to 1)."""
_SIGN = (
    "datum.outcome == 'win' ? letters[indexof(names, datum.fastest)]"
    " : datum.outcome == 'alone' ? '(' + letters[indexof(names, datum.fastest)] + ')'"
    " : datum.outcome == 'tie' ? '=' : datum.outcome == 'undecided' ? '?' : '×'"
)
_SIGN = f"({_SIGN}) + (datum.shaky ? '~' : '')"
_SAID = (
    "datum.outcome == 'none' ? 'no backend has a time'"
    " : datum.outcome == 'alone' ? datum.fastest + ' alone has a time'"
    " : (datum.outcome == 'win' ? datum.fastest + ' is ' + {0} + 'x faster than ' + datum.rival"
    " : datum.outcome == 'tie' ? 'no clear winner: ' + datum.rival + ' takes ' + {0} + ' times the time of ' + datum.fastest"
    " : 'too few common blocks to tell: ' + datum.fastest + ' and ' + datum.rival)"
    " + (isValid(datum.margin_low) ? ' (' + {1} + ' to ' + {2} + ')' : '')"
).format(*(f"format(datum.{c}, '.3~r')" for c in ("margin", "margin_low", "margin_high")))


def win_map(drawn: Drawn, wins: pd.DataFrame, failed: Collection[str]) -> Chart:
    """The map, for every group. failed: the backends of which the property suite says FAIL."""
    names = drawn.backends
    x = alt.X("steps:O", title="sequence length T (time steps)", axis=alt.Axis(labelAngle=0, labelOverlap="greedy", format=","))
    y = alt.Y("batch:O", title="batch size B", sort="descending", axis=alt.Axis(format=","))
    colour = alt.Color(
        "fastest:N",
        title="the fastest",
        scale=by_backend(drawn, COLOURS),
        legend=alt.Legend(
            orient="bottom", columns=legend_columns(drawn), symbolType="square", symbolSize=160, title=None,
            labelExpr="letters[indexof(names, datum.value)] + '  ' + datum.label",
        ),
    )  # fmt: skip
    base = alt.Chart().transform_calculate(
        sign=_SIGN,
        said=_SAID,
        doubt="datum.shaky ? 'yes: measure there again before you believe it' : 'none'",
        ink="datum.outcome == 'win' || datum.outcome == 'alone' ? inks[indexof(names, datum.fastest)] : '#000000'",
    )
    tooltip = [
        alt.Tooltip("steps:Q", title="sequence length", format=","),
        alt.Tooltip("batch:Q", title="batch size", format=","),
        alt.Tooltip("said:N", title="speed, 95% interval"),
        alt.Tooltip("doubt:N", title="UNSTABLE times"),
    ]
    known = f"datum.outcome != '{NONE}'"
    decided = f"datum.outcome == '{WIN}' || datum.outcome == '{ALONE}'"
    fields = base.mark_rect().encode(x=x, y=y, color=alt.condition(decided, colour, alt.value(PALE)), tooltip=tooltip)
    signs = base.mark_text(fontSize=13, fontWeight="bold", dy=alt.ExprRef("length(columns) > 8 ? 0 : -6"))
    margins = base.mark_text(fontSize=11, dy=8).transform_filter(f"datum.outcome == '{WIN}' && length(columns) <= 8")
    ink = alt.Color("ink:N", scale=None)
    layers: list[Any] = [
        fields.transform_filter(known),
        signs.transform_filter(known).encode(x=x, y=y, text="sign:N", color=ink, tooltip=tooltip),
        margins.transform_calculate(short="format(datum.margin, datum.margin < 10 ? '.3~r' : '.2~r') + 'x'").encode(
            x=x, y=y, text="short:N", color=ink, tooltip=tooltip
        ),
        base.mark_text(fontSize=13).transform_filter(f"!({known})").encode(x=x, y=y, text="sign:N", tooltip=tooltip)
        .properties(name="inked_none"),
    ]  # fmt: skip
    end, other = alt.Y("batch:O", sort="descending", bandPosition=0), alt.X("steps:O", bandPosition=0)
    border = alt.Chart().mark_rule(strokeWidth=3, strokeCap="square")
    layers.append(
        border.transform_filter("datum.right")
        .encode(x=alt.X("steps:O", bandPosition=1), y=end, y2=alt.Y2("batch:O", bandPosition=1))
        .properties(name="inked_right")
    )
    layers.append(
        border.transform_filter("datum.up")
        .encode(y=end, x=other, x2=alt.X2("steps:O", bandPosition=1))
        .properties(name="inked_up")
    )
    letters = [KEYS[n % len(KEYS)] for n in range(len(names))]
    given = {
        "names": names,
        "letters": letters,
        "inks": [INKS[COLOURS[n % len(COLOURS)]] for n in range(len(names))],
        "columns": [],
    }
    chart = (
        alt.layer(*layers)
        .resolve_scale(color="independent")
        .add_params(*(alt.param(name=k, value=v) for k, v in given.items()))
    )
    return Chart(
        name="who-wins-where",
        title="Who wins where",
        spec=finish(chart, 760, 100),
        feeds={"rows": Feed("wins")},
        captions={g: _caption(part, drawn.groups["title"][g], failed) for g, part in parts(wins, "group")},
        lines=("batch", 40),
        columns=(
            ("steps", "sequence length"), ("batch", "batch size"), ("outcome", "outcome"), ("fastest", "fastest"),
            ("rival", "next"), ("margin", "next / fastest"), ("margin_low", "from"), ("margin_high", "to"),
            ("shaky", "a time is UNSTABLE"),
        ),
        wide=True,
        lists={"columns": "steps"},
    )  # fmt: skip


def _caption(wins: pd.DataFrame, title: str, failed: Collection[str]) -> str:
    """Who wins how often, where, and by how much."""
    counts = wins["outcome"].value_counts()
    won = wins[wins["outcome"] == WIN]
    said = []
    for name, part in sorted(won.groupby("fastest", sort=False), key=lambda item: (-len(item[1]), item[0])):
        least, most = significant(part["margin"].min()), significant(part["margin"].max())
        by = f"{least}x" if least == most else f"{least}x to {most}x"
        who = with_warning(str(name), failed)
        said.append(f"{who} is fastest in {len(part)} of {cells(len(wins))} ({_where(part, wins)}; {by} faster than the next)")
    lead = f"{title}: " if title else ""
    parts = [f"{lead}{listed(said, 4) if said else 'no backend is fastest beyond doubt in any cell'}."]
    for kind, words in ((TIE, "a tie, marked ="), (UNDECIDED, "undecided, marked ?"), (NONE, "without any time, marked ×")):
        if counts.get(kind):
            parts.append(f"{cells(int(counts[kind])).capitalize()} {words}.")
    alone = wins.loc[wins["outcome"] == ALONE, "fastest"].value_counts()
    parts += [f"{name} has no rival in {cells(int(n))}, in brackets." for name, n in alone.items()]
    if wins["shaky"].any():
        parts.append("~: a time there is UNSTABLE.")
    parts.append("Thick lines: the border between two fields. Blank: not measured.")
    return " ".join(parts)


def _where(part: pd.DataFrame, wins: pd.DataFrame) -> str:
    """The sizes of a part of the cells; "within" where other cells lie between them, too."""
    inside = wins["steps"].between(part["steps"].min(), part["steps"].max())
    inside &= wins["batch"].between(part["batch"].min(), part["batch"].max())
    spans = []
    for letter, column in (("T", "steps"), ("B", "batch")):
        low, high = part[column].min(), part[column].max()
        spans.append(f"{letter}={low:,}" if low == high else f"{letter} {low:,} to {high:,}")
    return "within " * (int(inside.sum()) > len(part)) + ", ".join(spans)
