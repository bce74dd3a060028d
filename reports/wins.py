"""Which backend is fastest in each cell, by how much, and where that is undecided."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from lstm_parity.harness.records import RATIO_COLUMNS
from lstm_parity.harness.text import significant

from .data import varying_columns
from .labels import cells, phrase
from .ratios import paired_ratios

WIN, TIE, UNDECIDED, ALONE = "win", "tie", "undecided", "alone"
MARGIN = ("margin", "margin_low", "margin_high")


def contests(rows: pd.DataFrame, samples: pd.DataFrame, baseline: str | None) -> pd.DataFrame:
    """One row per cell that has a time, indexed by cell: fastest, outcome, rival, MARGIN, shaky.

    Ratios within blocks decide who is fastest: the backend with the least median, unless the 95% interval of another's time
    over its own is below 1; then that one, and so on. outcome: "win" if, for every other backend, the interval of (its time /
    the fastest's) is above 1; "tie" if one is not; "undecided" if one has no interval; "alone" if no other backend has a time.
    rival: the one that the outcome is due to, for a win the next fastest, with its time over the fastest's and the interval.
    These are the row's own where one of the two is the baseline, else they come from the samples, block by block. shaky:
    whether the time of one of these two is UNSTABLE.
    """
    timed = rows[rows["timed"]].sort_values(["cell", "median_s"], kind="stable")
    best = timed.drop_duplicates("cell").set_index("cell")
    leads = _leads(timed, best, samples, baseline)
    seen = set(best["row_id"])
    while True:  # each row is the best once, so this ends even where three beat each other in a cycle
        ahead = leads[(leads["margin_high"] < 1) & ~leads["row_id"].isin(seen)]
        ahead = ahead.sort_values("margin", kind="stable").drop_duplicates("cell")
        if ahead.empty:
            break
        better = timed[timed["row_id"].isin(ahead["row_id"])].set_index("cell")
        seen |= set(better["row_id"])
        best = pd.concat([best.drop(index=better.index), better])
        again = _leads(timed[timed["cell"].isin(better.index)], better, samples, baseline)
        leads = pd.concat([leads[~leads["cell"].isin(better.index)], again])

    low = leads["margin_low"].to_numpy(dtype="float64")
    leads["outcome"] = np.select([low <= 1, np.isnan(low)], [TIE, UNDECIDED], WIN)
    leads["weight"] = leads["outcome"].map({TIE: 0, UNDECIDED: 1, WIN: 2})
    rivals = leads.sort_values(["cell", "weight", "margin"], kind="stable").drop_duplicates("cell")
    result = best[["backend"]].rename(columns={"backend": "fastest"}).sort_index()
    result = result.join(rivals.set_index("cell")[["outcome", "rival", *MARGIN]])
    compared = pd.concat([best.reset_index()[["cell", "row_id"]], rivals[["cell", "row_id"]]])
    unstable = compared.loc[compared["row_id"].isin(timed.loc[timed["status"] == "UNSTABLE", "row_id"]), "cell"]
    return result.assign(outcome=result["outcome"].fillna(ALONE), shaky=result.index.isin(unstable))


def _leads(timed: pd.DataFrame, best: pd.DataFrame, samples: pd.DataFrame, baseline: str | None) -> pd.DataFrame:
    """For each timed row but the best of its cell, its time over that one's, with the interval. best: a row a cell, by cell."""
    others = timed[~timed["row_id"].isin(best["row_id"])]
    best = best.loc[others["cell"]]
    theirs, mine = (frame[list(RATIO_COLUMNS)].to_numpy(dtype="float64") for frame in (others, best))
    leads = np.where((best["backend"] == baseline).to_numpy()[:, None], theirs, np.nan)
    leads = np.where((others["backend"] == baseline).to_numpy()[:, None], 1 / mine[:, [0, 2, 1]], leads)
    missing = np.flatnonzero(np.isnan(leads).any(axis=1))
    open_pairs = pd.Series(best["row_id"].to_numpy()[missing], index=others["row_id"].to_numpy()[missing])
    leads[missing] = paired_ratios(samples, open_pairs).to_numpy()
    found = pd.DataFrame(leads, columns=list(MARGIN), index=others.index)
    return found.assign(cell=others["cell"], row_id=others["row_id"], rival=others["backend"])


def with_warning(name: str, failed: Collection[str]) -> str:
    """The name, and that it failed the property suite if it did."""
    return f"{name} (FAIL in the property suite)" if name in failed else name


def win_sentences(rows: pd.DataFrame, outcome: pd.DataFrame, failed: Collection[str] = ()) -> list[str]:
    """Who wins where, as sentences. outcome: of `contests`. failed: the backends for which the property suite says FAIL."""
    described = rows.drop_duplicates("cell").set_index("cell")
    contested = outcome[outcome["outcome"] != ALONE]
    total, sentences = len(contested), []
    wins = contested.loc[contested["outcome"] == WIN, "fastest"]
    if len(wins):
        counts = wins.value_counts()
        names = sorted(counts.index, key=lambda b: (-counts[b], b))
        differing = varying_columns(described.loc[contested.index])
        parts, rivals = [], " that have two times or more" * (total < len(described))
        for i, name in enumerate(names):
            won = described.loc[wins.index[wins == name]]
            common = [phrase(c, won[c].iloc[0]) for c in differing if won[c].nunique(dropna=False) == 1]
            where = f" ({'all with ' if len(won) > 1 else ''}{', '.join(common)})" if common and len(won) < total else ""
            who = with_warning(name, failed)
            parts.append(
                f"{who} is fastest in {counts[name]} of {cells(total)}{rivals}" if i == 0 else f"{who} in {counts[name]}"
            )
            unsure = int(outcome.loc[wins.index[wins == name], "shaky"].sum())
            parts[-1] += where + (f", {unsure} of them with an UNSTABLE time" if unsure else "")
        sentences.append("; ".join(parts) + ".")
        shaky = int(outcome.loc[wins.index, "shaky"].sum())
        if shaky:
            sentences.append(
                f"In {shaky:,} of these the time of the fastest or of the next is UNSTABLE: measure them again before you "
                "rely on them."
            )
    ties = int((contested["outcome"] == TIE).sum())
    if ties:
        sentences.append(f"A tie in {cells(ties)}: the 95% interval of the ratio to a rival is not above 1.")
    undecided = int((contested["outcome"] == UNDECIDED).sum())
    if undecided:
        sentences.append(f"Undecided in {cells(undecided)}: two backends share too few blocks for an interval of their ratio.")
    alone = outcome.loc[outcome["outcome"] == ALONE, "fastest"]
    if len(alone):
        by_name = ", ".join(f"{name} in {count}" for name, count in alone.value_counts().sort_index().items())
        sentences.append(f"Only one backend has a time in {cells(len(alone))} ({by_name}): nothing is compared there.")
    untimed = len(described) - len(outcome)
    if untimed:
        sentences.append(f"No backend has a time in {cells(untimed)}.")
    return sentences


def margin_sentence(rows: pd.DataFrame, outcome: pd.DataFrame) -> list[str]:
    """By how much the fastest win, and in how many cells a WRONG or SUSPECT backend is left out."""
    margins = outcome.loc[outcome["outcome"] == WIN, "margin"].dropna()
    if margins.empty:
        return []
    wrong = rows.loc[rows["status"].isin(("WRONG", "SUSPECT")), "cell"]
    without = int(margins.index.isin(wrong).sum())
    left_out = f" In {cells(without)} a WRONG or SUSPECT backend is left out." if without else ""
    if len(margins) == 1:
        return [f"The next fastest takes {significant(margins.iloc[0])} times as long.{left_out}"]
    low, middle, high = (significant(v) for v in (margins.min(), margins.median(), margins.max()))
    said = f"The next fastest takes {low} to {high} times as long (median {middle})."
    return [said + left_out]
