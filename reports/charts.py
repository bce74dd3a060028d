"""The charts of a report: one Altair description each, drawn in the page and saved as SVG alike."""

from __future__ import annotations

import pandas as pd

from .chart_parts import Chart
from .speed_chart import speed_chart
from .time_chart import time_chart


def draw_charts(rows: pd.DataFrame, baseline: str) -> list[Chart]:
    """The charts that the rows have something to show in, for each precision and mode.

    Time against sequence length and against batch size where these vary; speed-up over the baseline where both do.
    """
    timed = rows[rows["timed"]]
    order = [str(b) for b in rows["backend"].unique()]  # as measured; colours and shapes are the same in every chart
    charts: list[Chart | None] = []
    for (precision, mode), part in timed.groupby(["precision", "mode"], sort=True, dropna=False):
        kind = f"{precision}, {mode}"
        charts += [time_chart(part, axis, kind, order) for axis in ("sequence_length", "batch_size")]
        charts.append(speed_chart(part, kind, order, baseline))
    return _named_apart([c for c in charts if c is not None])


def _named_apart(charts: list[Chart]) -> list[Chart]:
    """The same charts, with a number behind a name that is taken: two precisions may differ in signs alone."""
    taken: dict[str, int] = {}
    named = []
    for chart in charts:
        taken[chart.name] = taken.get(chart.name, 0) + 1
        number = taken[chart.name]
        named.append(Chart(f"{chart.name}-{number}" if number > 1 else chart.name, chart.title, chart.caption, chart.spec))
    return named
