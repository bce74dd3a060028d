"""Who wins where: sequence length x batch size, coloured by the fastest backend, with borders between their fields."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from lstm_parity.harness.text import MISSING, significant

from ..data import parts_by, row_of_max
from ..findings import NONE, Findings
from ..labels import cells
from ..tables import MAX_ROWS, Table
from ..view import LETTERS
from ..wins import ALONE, TIE, UNDECIDED, WIN, with_warning
from .chart import Chart, Column, Feed, chart, columns, finish
from .encodings import COLOURS, NEUTRAL, by_backend, legend_columns, size_axes, tooltips

INKS = {c: "#ffffff" if c in ("#0072B2", "#8C6D31") else "#000000" for c in COLOURS}
"""Readable text on each colour (contrast at least 4.5 to 1)."""
_SIGN = (
    "datum.outcome == 'win' ? letters[indexof(names, datum.fastest)]"
    " : datum.outcome == 'alone' ? '(' + letters[indexof(names, datum.fastest)] + ')'"
    " : datum.outcome == 'tie' ? '=' : datum.outcome == 'undecided' ? '?' : '×'"
)
_SIGN = f"({_SIGN}) + (datum.shaky ? '~' : '')"
_LEAD = (
    "datum.outcome == 'none' ? 'no backend has a time'"
    " : datum.outcome == 'alone' ? datum.fastest + ' alone has a time'"
    " : (datum.outcome == 'win' ? datum.fastest + ' is ' + {0} + 'x faster than ' + datum.rival"
    " : datum.outcome == 'tie' ? 'no clear winner: ' + datum.rival + ' takes ' + {0} + ' times the time of ' + datum.fastest"
    " : 'too few blocks with samples of both: ' + datum.fastest + ' and ' + datum.rival)"
    " + (isValid(datum.margin_low) ? ' (' + {1} + ' to ' + {2} + ')' : '')"
).format(*(f"format(datum.{c}, '.3~r')" for c in ("margin", "margin_low", "margin_high")))


_KEY = (
    "Letters and colours: the fastest backend, beyond doubt; in brackets: no other backend has a time; =: a tie; ?: undecided; "
    "×: no time; ~: a time there is UNSTABLE; thick lines: borders between fields; blank: not measured."
)


@chart(section="wins", order=10)
def win_map(found: Findings) -> list[Chart]:
    """The map, for every group; none where nothing has a time."""
    if not found.rows["timed"].any():
        return []
    view, wins, names = found.view, found.wins, found.view.backends
    x, y = size_axes()
    colour = alt.Color(
        "fastest:N",
        title="the fastest",
        scale=by_backend(view, COLOURS),
        legend=alt.Legend(
            orient="bottom", columns=legend_columns(view), symbolType="square", symbolSize=160, title=None,
            labelExpr="letters[indexof(names, datum.value)] + '  ' + datum.label",
        ),
    )  # fmt: skip
    base = alt.Chart().transform_calculate(
        sign=_SIGN,
        lead=_LEAD,
        doubt="datum.shaky ? 'yes: measure it again before you rely on it' : 'none'",
        ink="datum.outcome == 'win' || datum.outcome == 'alone' ? inks[indexof(names, datum.fastest)] : '#000000'",
    )
    tooltip = tooltips("steps", "batch", lead="speed, 95% interval", doubt="UNSTABLE times")
    known = f"datum.outcome != '{NONE}'"
    decided = f"datum.outcome == '{WIN}' || datum.outcome == '{ALONE}'"
    fields = base.mark_rect().encode(x=x, y=y, color=alt.condition(decided, colour, alt.value(NEUTRAL)), tooltip=tooltip)
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
    letters = [LETTERS[n % len(LETTERS)] for n in range(len(names))]
    given = {
        "names": names,
        "letters": letters,
        "inks": [INKS[COLOURS[n % len(COLOURS)]] for n in range(len(names))],
        "columns": [],
    }
    layered = (
        alt.layer(*layers)
        .resolve_scale(color="independent")
        .add_params(*(alt.param(name=k, value=v) for k, v in given.items()))
    )
    map_of = Chart(
        name="who-wins-where",
        title="Who wins where",
        spec=finish(layered, 760, 100),
        feeds={"rows": Feed("wins", wins)},
        captions={key: _caption(part) for key, part in parts_by(wins, "group")},
        key=_KEY,
        line_height=("batch", 40),
        columns=columns(
            "steps",
            "batch",
            "outcome",
            "fastest",
            Column("rival", "next"),
            Column("margin", "next / fastest"),
            Column("margin_low", "from"),
            Column("margin_high", "to"),
            Column("shaky", "a time is UNSTABLE"),
        ),
        wide=True,
        selects_cell=True,
        unique_values={"columns": "steps"},
        tables=(wins_by_backend(found),),
    )
    return [map_of]


def _caption(wins: pd.DataFrame) -> str:
    """The largest lead, and in how many cells that backend is fastest."""
    won = wins[wins["outcome"] == WIN]
    if won.empty:
        return "No backend is fastest beyond doubt in any cell."
    most = row_of_max(won, won["margin"])
    count = int((won["fastest"] == most["fastest"]).sum())
    return (
        f"The largest lead is that of {most['fastest']} at T={most['steps']:,}, B={most['batch']:,}: "
        f"{significant(most['margin'])}x faster than {most['rival']}; it is fastest in {count} of {cells(len(wins))}."
    )


def wins_by_backend(found: Findings) -> Table:
    """In how many cells of each group each backend is fastest, at which sizes and by how much."""
    titles, lines = found.view.groups["title"], []
    for (group,), wins in parts_by(found.wins, "group"):
        fastest = wins[wins["fastest"].notna()]
        for name, part in sorted(
            fastest.groupby("fastest"), key=lambda item: (-int((item[1]["outcome"] == WIN).sum()), item[0])
        ):
            won, count = part[part["outcome"] == WIN], part["outcome"].value_counts()
            low, high = (significant(v) for v in (won["margin"].min(), won["margin"].max())) if len(won) else (MISSING, MISSING)
            lines.append(
                [titles[group], with_warning(str(name), found.failed), f"{len(won):,} of {cells(len(wins))}",
                 where(won, wins) if len(won) else MISSING, low if low == high else f"{low} to {high}",
                 *(f"{count.get(outcome, 0):,}" for outcome in (TIE, UNDECIDED, ALONE)), f"{int(won['shaky'].sum()):,}"]
            )  # fmt: skip
    columns = [
        "problem",
        "backend",
        "fastest in",
        "at",
        "next / fastest",
        "ties",
        "undecided",
        "without rival",
        "UNSTABLE wins",
    ]
    table = pd.DataFrame(lines[:MAX_ROWS], columns=columns)
    if len(found.view.groups) == 1:
        table = table.drop(columns="problem")
    note = "Ties, undecided cells and cells without rival are counted for the backend with the least median there."
    return Table(
        "Wins by backend", note, table, frozenset({"next / fastest", "ties", "undecided", "without rival", "UNSTABLE wins"})
    )


def where(part: pd.DataFrame, wins: pd.DataFrame) -> str:
    """The sizes of a part of the cells; "within" where other cells are between them, too."""
    inside = wins["steps"].between(part["steps"].min(), part["steps"].max())
    inside &= wins["batch"].between(part["batch"].min(), part["batch"].max())
    spans = []
    for letter, column in (("T", "steps"), ("B", "batch")):
        low, high = part[column].min(), part[column].max()
        spans.append(f"{letter}={low:,}" if low == high else f"{letter} {low:,} to {high:,}")
    return "within " * (int(inside.sum()) > len(part)) + ", ".join(spans)
