"""Which backend is fastest in which cell, by how much, and where nobody can tell."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .frame import RATIO_COLUMNS, varying
from .ratios import paired_ratios
from .words import cells, phrase, significant

WIN, TIE, UNDECIDED, ALONE = "win", "tie", "undecided", "alone"


MARGIN = ("margin", "margin_low", "margin_high")


def contests(rows: pd.DataFrame, samples: pd.DataFrame, baseline: str | None) -> pd.DataFrame:
    """One row per cell that has a time, indexed by cell: fastest (backend with the least median), outcome, rival, MARGIN.

    outcome: "win" if, for every other backend, the 95% interval of (its time / the fastest's) lies above 1; "tie" if one does
    not; "undecided" if one has no interval; "alone" if nobody else has a time. The interval is the row's own where one of the
    two is the baseline, else it comes from the samples, block by block. rival: the next fastest, with its time over the
    fastest's and the interval.
    """
    timed = rows[rows["timed"]].sort_values(["cell", "median_s"], kind="stable")
    first = timed.drop_duplicates("cell").set_index("cell")
    others = timed[timed.duplicated("cell")]
    best = first.loc[others["cell"]]
    leads = _leads(others, best, samples, baseline)
    lead = leads["margin_low"].to_numpy()

    weakest = pd.DataFrame({"cell": others["cell"].to_numpy(), "tie": lead <= 1, "blank": np.isnan(lead)}).groupby("cell").any()
    result = pd.DataFrame({"fastest": first["backend"], "outcome": WIN})
    weakest = weakest.reindex(result.index)
    result.loc[weakest["blank"].eq(True), "outcome"] = UNDECIDED
    result.loc[weakest["tie"].eq(True), "outcome"] = TIE
    result.loc[weakest["tie"].isna(), "outcome"] = ALONE
    leads = leads.assign(cell=others["cell"].to_numpy(), rival=others["backend"].to_numpy())
    return result.join(leads.drop_duplicates("cell").set_index("cell"))


def _leads(others: pd.DataFrame, best: pd.DataFrame, samples: pd.DataFrame, baseline: str | None) -> pd.DataFrame:
    """For each other row its time over the best's of its cell, with the interval. best: a row for each of the others."""
    theirs, mine = (frame[list(RATIO_COLUMNS)].to_numpy(dtype="float64") for frame in (others, best))
    leads = np.where((best["backend"] == baseline).to_numpy()[:, None], theirs, np.nan)
    leads = np.where((others["backend"] == baseline).to_numpy()[:, None], 1 / mine[:, [0, 2, 1]], leads)
    missing = np.isnan(leads[:, 1])
    open_pairs = pd.Series(best["row_id"].to_numpy(), index=others["row_id"].to_numpy())[missing]
    leads[missing] = paired_ratios(samples, open_pairs).to_numpy()
    return pd.DataFrame(leads, columns=list(MARGIN))


def unstable_cells(rows: pd.DataFrame) -> set[int]:
    """The cells in which a time is UNSTABLE."""
    return set(rows.loc[rows["timed"] & (rows["status"] == "UNSTABLE"), "cell"])


def win_sentences(rows: pd.DataFrame, outcome: pd.DataFrame) -> list[str]:
    """Who wins where, in words. outcome: of `contests`."""
    described = rows.drop_duplicates("cell").set_index("cell")
    contested = outcome[outcome["outcome"] != ALONE]
    total, sentences = len(contested), []
    wins = contested.loc[contested["outcome"] == WIN, "fastest"]
    if len(wins):
        counts = wins.value_counts()
        names = sorted(counts.index, key=lambda b: (-counts[b], b))
        differing = varying(described.loc[contested.index])
        parts, rivals = [], " that have two times or more" * (total < len(described))
        unstable = unstable_cells(rows)
        for i, name in enumerate(names):
            won = described.loc[wins.index[wins == name]]
            common = [phrase(c, won[c].iloc[0]) for c in differing if won[c].nunique(dropna=False) == 1]
            where = f" ({'all with ' if len(won) > 1 else ''}{', '.join(common)})" if common and len(won) < total else ""
            parts.append(
                f"{name} is fastest in {counts[name]} of {cells(total)}{rivals}" if i == 0 else f"{name} in {counts[name]}"
            )
            unsure = wins.index[wins == name].isin(unstable).sum()
            parts[-1] += where + (f", {unsure} of them with an UNSTABLE time" if unsure else "")
        sentences.append("; ".join(parts) + ".")
        shaky = int(wins.index.isin(unstable).sum())
        if shaky:
            sentences.append(f"In {shaky:,} of these a time is UNSTABLE: measure there again before you believe it.")
    ties = int((contested["outcome"] == TIE).sum())
    if ties:
        sentences.append(f"A tie in {cells(ties)}: the 95% interval of the ratio to a rival includes 1.")
    undecided = int((contested["outcome"] == UNDECIDED).sum())
    if undecided:
        sentences.append(f"Undecided in {cells(undecided)}: the samples of two backends share too few blocks for an interval.")
    alone = outcome.loc[outcome["outcome"] == ALONE, "fastest"]
    if len(alone):
        by_name = ", ".join(f"{name} in {count}" for name, count in alone.value_counts().sort_index().items())
        sentences.append(f"Only one backend has a time in {cells(len(alone))} ({by_name}), so nothing is compared there.")
    untimed = len(described) - len(outcome)
    if untimed:
        sentences.append(f"No backend has a time in {cells(untimed)}.")
    return sentences


def margin_sentence(outcome: pd.DataFrame) -> list[str]:
    """By how much the fastest win."""
    margins = outcome.loc[outcome["outcome"] == WIN, "margin"].dropna()
    if margins.empty:
        return []
    if len(margins) == 1:
        return [f"The next fastest takes {significant(margins.iloc[0])} times as long there."]
    low, middle, high = (significant(v) for v in (margins.min(), margins.median(), margins.max()))
    return [f"Where one wins, the next fastest takes {low} to {high} times as long (half of the cells: {middle} or more)."]
