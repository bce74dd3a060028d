"""Speed-up of one backend over another: a heat map of sequence length x batch size."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from lstm_parity.harness.records import RATIO_COLUMNS
from lstm_parity.harness.text import significant

from ..data import parts_by, row_of_max
from ..findings import SIZES, Findings, plain
from ..labels import cells
from ..ratios import with_baseline
from ..view import View
from .chart import Chart, Column, Feed, chart, columns, finish, interval
from .encodings import size_axes, tooltips

MAX_RATIOS = 30_000
"""With no more ratios than this, those over every backend are computed and shown, else those over the baseline alone."""
MAX_PICTURED = 2
"""Backends that have a picture of their own over the baseline."""
_LABEL = (
    "abs(datum.value) < 0.001 ? 'same' : format(pow(2, abs(datum.value)), '.2~r') + (datum.value > 0 ? 'x faster' : 'x slower')"
)
_SPEED = (
    "(datum.ratio < 1 ? format(1 / datum.ratio, '.3~r') + 'x faster' : format(datum.ratio, '.3~r') + 'x slower')"
    " + (isValid(datum.low) ? ' (' + (datum.ratio < 1 ? format(1 / datum.high, '.3~r') + ' to ' + format(1 / datum.low, '.3~r')"
    " : format(datum.low, '.3~r') + ' to ' + format(datum.high, '.3~r')) + ')' : ' (no interval)')"
)


_KEY = "Numbers: how many times as fast; =: the 95% interval includes 1; in brackets: too few common blocks for an interval."


@chart(section="speed", order=20)
def speed_up(found: Findings) -> list[Chart]:
    """The heat map of any two backends that have ratios; none where there is no ratio."""
    ratios = ratios_table(found.run.samples, found.view, found.baseline)
    if ratios.empty:
        return []
    x, y = size_axes()
    base = (
        alt.Chart()
        .transform_calculate(
            faster="clamp(-log(datum.ratio) / LN2, -3, 3)",
            clear="isValid(datum.low) && (datum.low > 1 || datum.high < 1)",
            speed=_SPEED,
            times="format(1 / datum.ratio, 1 / datum.ratio >= 0.95 && 1 / datum.ratio < 1.05 ? '.3~r' : '.2~r')",
        )
        .transform_calculate(
            text="datum.clear ? datum.times : isValid(datum.low) ? '=' : '(' + datum.times + ')'",
            ink="abs(datum.faster) > 1.7 ? '#ffffff' : '#000000'",
        )
        .encode(
            x=x,
            y=y,
            tooltip=[
                *tooltips("backend", base="against"),
                *tooltips("steps", "batch", speed="speed, 95% interval"),
                *tooltips("status"),
            ],
        )
    )
    colour = alt.Color(
        "faster:Q",
        title=None,
        scale=alt.Scale(range=["#7a3300", "#e08a3c", "#f5f2ec", "#5a9bd0", "#0b3d6b"], domain=[-3, -1, 0, 1, 3]),
        legend=alt.Legend(labelExpr=_LABEL, gradientLength=260, values=[-3, -1, 0, 1, 3], orient="bottom"),
    )
    layers = alt.layer(
        base.mark_rect(stroke="#b9c1ca").encode(color=colour),
        base.mark_text(fontSize=12).encode(text="text:N", color=alt.Color("ink:N", scale=None)),
    ).resolve_scale(color="independent")
    shown = Chart(
        name="speed-up",
        title="Speed-up of one backend over another",
        spec=finish(layers, 760, 100),
        feeds={"rows": Feed("ratios", ratios, ("backend", "base"))},
        captions={
            (group, backend, base): _caption(part, backend, base)
            for (group, backend, base), part in parts_by(ratios, "group", "backend", "base")
        },
        captioned_by=("backend", "base"),
        key=_KEY,
        choices=(("backend", "speed-up of"), ("base", "against")),
        choice_text="{backend} against {base}",
        start=_start(found, ratios),
        pictured=_pictured(found, ratios),
        line_height=("batch", 32),
        columns=columns(
            "backend", Column("base", "against"), "steps", "batch", Column("ratio", "time over its time"), *interval(), "status"
        ),
        wide=True,
    )
    return [shown]


def _start(found: Findings, ratios: pd.DataFrame) -> dict[str, str]:
    """The two backends that the page shows first: over the baseline, where that has a time."""
    here = ratios[ratios["group"] == found.view.start]
    first = next(table for table in (here[here["base"] == found.baseline], here, ratios) if len(table)).iloc[0]
    return {"backend": str(first["backend"]), "base": str(first["base"])}


def _pictured(found: Findings, ratios: pd.DataFrame) -> dict[int, list[dict[str, str]]]:
    """Of each group the first backends with a ratio over the baseline."""
    over = ratios[ratios["base"] == found.baseline]
    return {
        group: [{"backend": b, "base": found.baseline} for b in found.view.backends if b in set(part["backend"])][:MAX_PICTURED]
        for (group,), part in parts_by(over, "group")
    }


def _caption(part: pd.DataFrame, backend: str, base: str) -> str:
    """How often faster and slower, and the largest clear difference."""
    faster, slower = part["high"] < 1, part["low"] > 1
    said = f"{backend} is faster than {base} in {faster.sum()} of {cells(len(part))} and slower in {slower.sum()}"
    clear = part[faster | slower]
    if clear.empty:
        return f"{said}."
    most = row_of_max(clear, np.log(clear["ratio"]).abs())
    factor = f"{significant(1 / most['ratio'])}x faster" if most["ratio"] < 1 else f"{significant(most['ratio'])}x slower"
    return f"{said}, the most at T={most['steps']:,}, B={most['batch']:,}: {factor}."


def ratios_table(samples: pd.DataFrame, view: View, baseline: str) -> pd.DataFrame:
    """The time of each backend over each other one's (over the baseline's alone in a large run), with its interval."""
    shown = view.rows
    bases = view.backends if int(shown["timed"].sum()) * (len(view.backends) - 1) <= MAX_RATIOS else [baseline]
    parts = []
    for base in bases:
        over = shown if base == baseline else _turned(with_baseline(shown, samples, base), shown, base, baseline)
        part = over[over["timed"] & (over["backend"] != base) & over["ratio_to_baseline"].notna()]
        parts.append(part.assign(base=base))
    both = pd.concat(parts).rename(columns=SIZES | dict(zip(RATIO_COLUMNS, ("ratio", "low", "high"), strict=True)))
    return plain(both[["group", "steps", "batch", "backend", "base", "ratio", "low", "high", "status"]])


def _turned(over: pd.DataFrame, shown: pd.DataFrame, base: str, baseline: str) -> pd.DataFrame:
    """Ratios over another base, where the baseline's are the base's own of the rows, turned round: a pair has one ratio."""
    mine = shown[(shown["backend"] == base) & shown[list(RATIO_COLUMNS)].notna().all(axis=1)].set_index("cell")
    theirs = (over["backend"] == baseline) & over["cell"].isin(mine.index)
    own = mine.loc[over.loc[theirs, "cell"], list(RATIO_COLUMNS)].to_numpy(dtype="float64")
    over.loc[theirs, list(RATIO_COLUMNS)] = 1 / own[:, [0, 2, 1]]
    return over
