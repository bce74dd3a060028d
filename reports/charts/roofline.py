"""Operations a second against operations for each byte, and the roofs measured on this machine."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from lstm_parity.harness.text import rate, significant

from ..data import parts_by, row_of_max
from ..findings import Findings
from ..view import View
from .chart import Chart, Feed, chart, columns, finish
from .encodings import backend_encodings, log_axis, log_scale, time_text, tooltips

_COLUMNS = ("group", "kind", "roof", "x", "y")
_PRODUCT, _COPY = "matrix product", "copy"


_KEY = (
    "Closer to the line is closer to this machine's limit: memory left of the bend, arithmetic right of it. "
    "Bytes: x, y and the weights, once; a sequential LSTM may need more."
)


@chart(section="roof", order=10)
def roofline(found: Findings) -> list[Chart]:
    """The chart; none where no row has its numbers of operations and bytes."""
    cells = found.cells
    known = cells[cells["time"].notna() & (cells["flops"] > 0) & (cells["bytes"] > 0)]
    if known.empty:
        return []
    roofs = roofs_table(found.view, found.peaks, str(found.rows["machine_id"].iloc[0]))
    log = log_scale(26)
    x = alt.X("x:Q", title="operations for each byte (FLOP/B)", scale=log, axis=log_axis("x", "format(datum.value, '~s')"))
    y = alt.Y("y:Q", title="operations a second (FLOP/s)", scale=log, axis=log_axis("y", "format(datum.value, '~s')"))
    points = (
        alt.Chart()
        .transform_filter("isValid(datum.time) && datum.flops > 0 && datum.bytes > 0")
        .transform_calculate(
            x="datum.flops / datum.bytes",
            y="datum.flops / datum.time",
            rate="format(datum.flops / datum.time, '.3~s') + 'FLOP/s'",
            median=time_text("datum.time"),
            reached="isValid(datum.floor) ? format(datum.floor / datum.time, '.2~p') : '–'",
        )
        .mark_point(size=50, filled=True, opacity=0.85)
        .encode(
            x=x,
            y=y,
            tooltip=tooltips("backend", "steps", "batch", rate="speed", median="median time", reached="floor reached"),
            **backend_encodings(found.view),
        )
    )
    roof = alt.Chart(alt.NamedData(name="roofs"))
    line = roof.mark_line(strokeWidth=2, color="#57606a").encode(x=x, y=y, detail="roof:N").properties(name="inked_roof")
    ends = roof.transform_joinaggregate(first="min(x)", last="max(x)", groupby=["roof"])
    product = ends.transform_filter(f"datum.kind == '{_PRODUCT}' && datum.x == datum.last").mark_text(align="right", dy=-8)
    copy = ends.transform_filter(f"datum.kind == '{_COPY}' && datum.x == datum.first").mark_text(align="left", dx=10, dy=10)
    names = [text.encode(x=x, y=y, text="roof:N").properties(name=f"inked_name_{n}") for n, text in enumerate((product, copy))]
    shown = Chart(
        name="roofline",
        title="Roofline",
        spec=finish(alt.layer(line, *names, points), 760, 380),
        feeds={"rows": Feed("cells", cells), "roofs": Feed("roofs", roofs)},
        captions={key: _caption(part, roofs[roofs["group"] == key[0]]) for key, part in parts_by(known, "group")},
        key=_KEY,
        columns=columns("backend", "steps", "batch", "flops", "bytes", "time", "speed", "reached"),
        wide=True,
    )
    return [shown]


def roofs_table(view: View, peaks: pd.DataFrame, machine_id: str) -> pd.DataFrame:
    """The roofs of each group's devices in its precision: the slope of the copy up to the level of the matrix product."""
    rows = view.rows
    timed = rows[rows["timed"] & rows["flops"].notna() & rows["bytes"].notna() & (rows["bytes"] > 0)]
    x = timed["flops"].astype("float64") / timed["bytes"].astype("float64")
    found: Any = peaks[peaks["machine_id"] == machine_id].drop_duplicates(["device", "threads", "kind"], keep="last")
    rates = {(p.device, p.threads, p.kind): float(p.value) for p in found.itertuples()}
    several = timed["device"].nunique() > 1
    lines = []
    for (group, device, threads), part in parts_by(timed.assign(x=x), "group", "device", "threads"):
        precision = view.groups["in_precision"][group]
        top, slope = rates.get((device, threads, f"gemm:{precision}")), rates.get((device, threads, "copy"))
        of = f"{device}: " if several else ""
        low, high = float(part["x"].min()) / 2, float(part["x"].max()) * 2
        if top:
            start = top / slope if slope else low
            said = f"{of}{_PRODUCT}, {rate(top, 'FLOP/s')}"
            lines += [(group, _PRODUCT, said, v, top) for v in (min(start, high), max(high, 2 * start))]
        if slope:
            end = top / slope if top else high
            said = f"{of}{_COPY}, {rate(slope, 'B/s')}"
            lines += [(group, _COPY, said, v, v * slope) for v in (min(low, end / 4), end)]
    return pd.DataFrame(lines, columns=list(_COLUMNS))


def _caption(part: pd.DataFrame, roofs: pd.DataFrame) -> str:
    best, most = row_of_max(part, part["speed"]), float(part["speed"].max())
    at = f"T={best['steps']:,}, B={best['batch']:,}"
    said = f"{best['backend']} does the most operations a second, {rate(most, 'FLOP/s')} at {at}"
    top = roofs.loc[roofs["kind"] == _PRODUCT, "y"].max() if len(roofs) else np.nan
    if pd.isna(top):
        return f"{said} (UNVERIFIED: no roof was measured for this precision and number of threads)."
    return f"{said}: {significant(100 * most / top, 2)}% of the fastest matrix product measured on this machine."
