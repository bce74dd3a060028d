"""Operations a second against operations for each byte, under the roofs that were measured on this machine."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from .chart_parts import Chart, Feed, backend_encodings, finish, largest, log_axis, parts, time_words
from .drawn import Drawn
from .words import rate, significant

_COLUMNS = ("group", "kind", "roof", "x", "y")
_PRODUCT, _COPY = "matrix product", "copy"


def roofs_table(drawn: Drawn, peaks: pd.DataFrame, machine_id: str) -> pd.DataFrame:
    """The roofs of each group's devices, in the group's precision: the copy's slope up to the matrix product's level."""
    rows = drawn.rows
    timed = rows[rows["timed"] & rows["flops"].notna() & rows["bytes"].notna() & (rows["bytes"] > 0)]
    x = timed["flops"].astype("float64") / timed["bytes"].astype("float64")
    found: Any = peaks[peaks["machine_id"] == machine_id].drop_duplicates(["device", "threads", "kind"], keep="last")
    rates = {(p.device, p.threads, p.kind): float(p.value) for p in found.itertuples()}
    several = timed["device"].nunique() > 1
    lines = []
    for (group, device, threads), part in parts(timed.assign(x=x), ["group", "device", "threads"]):
        precision = drawn.groups["in_precision"][group]
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


def roofline(drawn: Drawn, cells: pd.DataFrame, roofs: pd.DataFrame) -> Chart | None:
    """The chart; None where no row says how many operations and bytes it needs."""
    known = cells[cells["time"].notna() & (cells["flops"] > 0) & (cells["bytes"] > 0)]
    if known.empty:
        return None
    log = alt.Scale(type="log", nice=False, padding=26)
    x = alt.X("x:Q", title="operations for each byte (FLOP/B)", scale=log, axis=log_axis("x", "format(datum.value, '~s')"))
    y = alt.Y("y:Q", title="operations a second (FLOP/s)", scale=log, axis=log_axis("y", "format(datum.value, '~s')"))
    points = (
        alt.Chart()
        .transform_filter("isValid(datum.time) && datum.flops > 0 && datum.bytes > 0")
        .transform_calculate(
            x="datum.flops / datum.bytes",
            y="datum.flops / datum.time",
            rate="format(datum.flops / datum.time, '.3~s') + 'FLOP/s'",
            said=time_words("datum.time"),
            reached="isValid(datum.floor) ? format(datum.floor / datum.time, '.2~p') : '–'",
        )
        .mark_point(size=50, filled=True, opacity=0.85)
        .encode(
            x=x,
            y=y,
            tooltip=[
                alt.Tooltip("backend:N"),
                alt.Tooltip("steps:Q", title="sequence length", format=","),
                alt.Tooltip("batch:Q", title="batch size", format=","),
                alt.Tooltip("rate:N", title="speed"),
                alt.Tooltip("said:N", title="median time"),
                alt.Tooltip("reached:N", title="floor reached"),
            ],
            **backend_encodings(drawn),
        )
    )
    roof = alt.Chart(alt.NamedData(name="roofs"))
    line = roof.mark_line(strokeWidth=2, color="#57606a").encode(x=x, y=y, detail="roof:N").properties(name="inked_roof")
    ends = roof.transform_joinaggregate(first="min(x)", last="max(x)", groupby=["roof"])
    product = ends.transform_filter(f"datum.kind == '{_PRODUCT}' && datum.x == datum.last").mark_text(align="right", dy=-8)
    copy = ends.transform_filter(f"datum.kind == '{_COPY}' && datum.x == datum.first").mark_text(align="left", dx=10, dy=10)
    names = [text.encode(x=x, y=y, text="roof:N").properties(name=f"inked_name_{n}") for n, text in enumerate((product, copy))]
    return Chart(
        name="roofline",
        title="Roofline",
        spec=finish(alt.layer(line, *names, points), 760, 380),
        feeds={"rows": Feed("cells"), "roofs": Feed("roofs")},
        captions={g: _caption(part, roofs[roofs["group"] == g]) for g, part in parts(known, "group")},
        columns=(
            ("backend", "backend"), ("steps", "sequence length"), ("batch", "batch size"), ("flops", "operations"),
            ("bytes", "bytes"), ("time", "time per call"), ("@speed", "operations a second"), ("@reached", "floor reached"),
        ),
        wide=True,
    )  # fmt: skip


def _caption(part: pd.DataFrame, roofs: pd.DataFrame) -> str:
    speed = part["flops"] / part["time"]
    best = largest(part, speed)
    where = f"T={best['steps']:,}, B={best['batch']:,}"
    says = [f"The most operations a second: {best['backend']} at {where}, {rate(float(speed.max()), 'FLOP/s')}"]
    top = roofs.loc[roofs["kind"] == _PRODUCT, "y"].max() if len(roofs) else np.nan
    if pd.notna(top):
        says[0] += f", {significant(100 * float(speed.max()) / top, 2)}% of the fastest matrix product measured here"
    else:
        says.append("The roofs were not measured for this precision and number of threads: UNVERIFIED")
    says.append(
        "Nearer to the line is nearer to what this machine can do; left of the bend memory limits, right of it arithmetic"
    )
    return ". ".join(says) + ". Bytes: x, y and the weights, once; a sequential LSTM may need more."
