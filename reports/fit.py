"""Fixed cost and cost per step of each backend: the line time = a + b T.

Weighted least squares over the medians of a group (a backend's cells that differ in T alone), with weights 1/time^2: a time's
error is relative. The 95% intervals are Student's, with points - 2 degrees of freedom, from the
scatter of the medians about the line; they answer for a bent curve as well as for noise, and are wide for three points.
Source: Seber and Lee, Linear Regression Analysis, ch. 3 and 6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lstm_parity.harness.records import CELL_COLUMNS
from lstm_parity.harness.statistics import student_quantile

GROUP = ("backend", *(c for c in CELL_COLUMNS if c != "sequence_length"))
"""What is the same along a fitted line."""
MIN_POINTS = 3
GOOD_FIT = 0.10
"""A line fits where no median is further from it than this share of itself: the width beyond which a time is UNSTABLE."""


def fit_lines(rows: pd.DataFrame) -> pd.DataFrame:
    """A line for each group with at least three distinct T, sorted by group.

    rows: timed rows. Returns the columns of GROUP; fixed_s, step_s (seconds; seconds per step), each with its 95% interval
    (_low, _high); points; shortest, longest (T); residual (the largest |time - line| / time); fits (residual <= GOOD_FIT).
    """
    rows = rows[rows["timed"]]
    rows = rows.assign(group=rows.groupby(list(GROUP), dropna=False, sort=True).ngroup())
    rows = rows[rows["sequence_length"].groupby(rows["group"]).transform("nunique") >= MIN_POINTS]
    group, heads = np.unique(rows["group"].to_numpy(), return_index=True)
    g = np.searchsorted(group, rows["group"].to_numpy())
    t = rows["sequence_length"].to_numpy(dtype="float64")
    seconds = rows["median_s"].to_numpy(dtype="float64")

    def total(values: NDArray[Any]) -> NDArray[Any]:
        return np.bincount(g, weights=values, minlength=len(group))

    # seconds / seconds[first] keeps the weights near 1 for times from microseconds to hours
    scale = seconds[heads] if len(heads) else seconds
    y = seconds / scale[g]
    w = 1 / y**2
    sum_w = total(w)
    mean_t, mean_y = total(w * t) / sum_w, total(w * y) / sum_w
    spread = total(w * (t - mean_t[g]) ** 2)
    step = total(w * (t - mean_t[g]) * (y - mean_y[g])) / spread
    fixed = mean_y - step * mean_t
    off = (y - mean_y[g]) - step[g] * (t - mean_t[g])
    points = np.bincount(g, minlength=len(group))
    variance = total(w * off**2) / (points - 2)
    quantile = student_quantile(points - 2)
    step_half = quantile * np.sqrt(variance / spread)
    fixed_half = quantile * np.sqrt(variance * (1 / sum_w + mean_t**2 / spread))
    residual = np.zeros(len(group))
    np.maximum.at(residual, g, np.abs(off) / y)

    lines = rows.iloc[heads][list(GROUP)].reset_index(drop=True)
    lengths = rows["sequence_length"].groupby(g)
    return lines.assign(
        fixed_s=fixed * scale,
        fixed_low_s=(fixed - fixed_half) * scale,
        fixed_high_s=(fixed + fixed_half) * scale,
        step_s=step * scale,
        step_low_s=(step - step_half) * scale,
        step_high_s=(step + step_half) * scale,
        points=points,
        shortest=lengths.min().to_numpy(dtype="int64"),
        longest=lengths.max().to_numpy(dtype="int64"),
        residual=residual,
        fits=residual <= GOOD_FIT,
    )
