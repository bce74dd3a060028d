"""Ratios of times, block by block, and the 95% intervals of their medians.

In a block every backend of a cell runs once, so what disturbs a block disturbs both sides of the quotient. The interval is that
of order statistics (distribution-free): of n sorted quotients, the k-th smallest and the k-th largest, with the largest k for
which a median outside them has a probability of at most 5%. Below six quotients no such k exists, and there is no interval.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lstm_parity.harness.records import RATIO_COLUMNS
from lstm_parity.harness.statistics import median_ranks


def paired_ratios(samples: pd.DataFrame, base: pd.Series[Any]) -> pd.DataFrame:
    """Median over blocks of (a row's time / its base's time), with its 95% interval.

    base: row_id of the base, indexed by the row_id of the row. Samples of one row in one block are averaged first; the time is
    device_s where there is one, else wall_s. Returns a frame indexed like `base`: ratio_to_baseline, ratio_ci_low,
    ratio_ci_high; NaN where the two share no block (the interval: where they share fewer than six).
    """
    result = pd.DataFrame(np.nan, index=base.index, columns=list(RATIO_COLUMNS))
    samples = samples[samples["row_id"].isin(base.index) | samples["row_id"].isin(base)]
    if samples.empty:
        return result
    seconds = samples["device_s"].astype("float64").fillna(samples["wall_s"].astype("float64")).to_numpy()
    rows, ids = pd.factorize(samples["row_id"])
    blocks = pd.factorize(samples["block"])[0]
    width = int(blocks.max()) + 1
    mean = pd.Series(seconds).groupby(rows * width + blocks).mean()  # sorted by row, then block
    key, time = mean.index.to_numpy(), mean.to_numpy()

    mine, theirs = ids.get_indexer(pd.Index(base.index)), ids.get_indexer(pd.Index(base))
    known = (mine >= 0) & (theirs >= 0)
    partner = np.full(len(ids), -1)
    partner[mine[known]] = theirs[known]
    row = key // width
    wanted = partner[row] * width + key % width
    found = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    paired = (partner[row] >= 0) & (key[found] == wanted)
    row, quotient = row[paired], time[paired] / time[found[paired]]
    order = np.lexsort((quotient, row))
    quotient = quotient[order]
    owner, start, count = np.unique(row[order], return_index=True, return_counts=True)

    median = (quotient[start + (count - 1) // 2] + quotient[start + count // 2]) / 2
    rank = median_ranks(count)
    low = np.where(rank > 0, quotient[start + np.maximum(rank, 1) - 1], np.nan)
    high = np.where(rank > 0, quotient[start + count - np.maximum(rank, 1)], np.nan)
    found_rows = pd.DataFrame(np.column_stack([median, low, high]), index=ids[owner], columns=result.columns)
    return found_rows.reindex(base.index)


def recorded_baseline(rows: pd.DataFrame, definition: dict[str, Any]) -> str | None:
    """The backend that the rows' ratios are over: the definition's "baseline", else the one whose own ratios say so.

    Its own are 1, or absent, wherever another backend of the cell has one. None where that is not exactly one backend.
    """
    named = definition.get("baseline")
    if isinstance(named, str) and (rows["backend"] == named).any():
        return named
    compared = rows[rows["timed"] & rows["cell"].isin(rows.loc[rows["ratio_to_baseline"].notna(), "cell"])]
    own = (compared[list(RATIO_COLUMNS)].fillna(1) == 1).all(axis=1).groupby(compared["backend"]).all()
    sure = [str(b) for b in own.index[own]]
    return sure[0] if len(sure) == 1 else None


def with_baseline(rows: pd.DataFrame, samples: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """The rows with their ratios, and their intervals, over another baseline, from the samples."""
    base = rows.loc[rows["timed"] & (rows["backend"] == baseline)].set_index("cell")["row_id"]
    timed = rows.loc[rows["timed"] & rows["cell"].isin(base.index)]
    pairs = timed.set_index("row_id")["cell"].map(base)
    ratios = paired_ratios(samples, pairs[pairs.index != pairs])
    own = pd.DataFrame(1.0, index=pd.Index(base), columns=ratios.columns)  # its time over its own: 1 by definition
    return rows.drop(columns=list(RATIO_COLUMNS)).join(pd.concat([ratios, own]), on="row_id")[list(rows.columns)]


def without_unpaired(rows: pd.DataFrame, baseline: str | None) -> pd.DataFrame:
    """The rows without the ratios of cells in which the baseline has no time: a ratio over nothing says nothing."""
    base = rows.loc[rows["timed"] & (rows["backend"] == baseline), "cell"]
    rows = rows.copy()
    rows.loc[~rows["cell"].isin(base), list(RATIO_COLUMNS)] = np.nan
    return rows
