"""How each ratio to the baseline moved over the runs of one machine. Runs of different machines are never joined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lstm_parity.harness.records import CELL_COLUMNS, RATIO_COLUMNS, TIMED
from lstm_parity.harness.text import duration, significant

from .data import ReportData, SelectedRun, parse_object, runs_in_time, with_dtypes
from .labels import cells, listed
from .ratios import with_baseline, without_unpaired
from .view import View

MAX_RUNS = 12
"""Runs that the chart shows, the newest; older ones are lines of the table."""
MAX_TURNS = 6


@dataclass(frozen=True, eq=False)
class History:
    """How the newest run differs from earlier ones of its machine."""

    runs: pd.DataFrame
    """Oldest first: run_id, label, name, when, commit, rows."""
    table: pd.DataFrame
    """Ratios of cells in several runs: group, steps, batch, backend, run (its label), order (its number), ratio, low, high."""
    moves: pd.DataFrame
    """A line for each cell and backend that the newest run and an earlier one share, the largest change first.

    ratio, low, high; time and base_time (seconds, of which it is the ratio); unstable: whether one of these is UNSTABLE; the
    same of the earlier run, as `then` and with the prefix `then_`; since: the earlier run's label; change (now / then); moved:
    whether the two intervals are apart; group, steps, batch.
    """
    turns: pd.DataFrame
    """Backends that gained or lost a valid time: backend, then and now (its statuses), cells."""
    elsewhere: int
    """How many runs of other machines the store has."""

    @property
    def several(self) -> bool:
        """Whether there is a run besides the newest one."""
        return len(self.runs) > 1 or self.elsewhere > 0


def find_history(data: ReportData, run: SelectedRun, rows: pd.DataFrame, view: View, baseline: str) -> History:
    """rows: of the newest run, with ratios over the baseline."""
    machine = str(rows["machine_id"].iloc[0])
    machines = data.rows.groupby("run_id")["machine_id"].first()
    order = runs_in_time(data.rows, data.runs)
    order = order[order["has_rows"]]
    mine = order[order["run_id"].map(machines) == machine]
    mine = mine.iloc[: int(np.flatnonzero(mine["run_id"] == run.run_id)[0]) + 1]
    runs = _described(data, mine)
    shown = runs.tail(MAX_RUNS)
    earlier = _shared(data, rows, [r for r in shown["run_id"] if r != run.run_id])
    past = _past(data, earlier, baseline)
    now = _over(rows[rows["timed"]].assign(run_id=run.run_id), baseline)
    both = pd.concat([past, now]) if len(past) else now
    both = both[both["ratio_to_baseline"].notna() & (both["backend"] != baseline)]
    places = view.rows.drop_duplicates("cell").set_index("cell")[["group", "sequence_length", "batch_size"]]
    both = both.join(places.rename(columns={"sequence_length": "steps", "batch_size": "batch"}), on="cell", how="inner")
    both = both.reset_index(drop=True)
    number = {r: n for n, r in enumerate(shown["run_id"])}
    labels = dict(zip(shown["run_id"], shown["label"], strict=True))
    both = both.assign(order=both["run_id"].map(number), run=both["run_id"].map(labels))
    both = both.rename(columns=dict(zip(RATIO_COLUMNS, ("ratio", "low", "high"), strict=True)))
    both = both.sort_values(["order", "cell"], kind="stable")
    several = both.groupby(["cell", "backend"])["order"].transform("nunique") > 1
    kinds = {"group": "int64", "steps": "int64", "batch": "int64", "order": "int64", "backend": "object", "run": "object"}
    table = both[several].astype(kinds)
    moves = _moves(table, number[run.run_id], view.groups["title"])
    table = table[["group", "steps", "batch", "backend", "run", "order", "ratio", "low", "high"]].reset_index(drop=True)
    return History(
        runs, table, moves, _turns(rows, earlier), int(len(order) - (order["run_id"].map(machines) == machine).sum())
    )


def move_sentence(found: History, baseline: str) -> str | None:
    """What changed since earlier runs; None where nothing can be compared."""
    moves = found.moves
    if moves.empty:
        return turn_sentence(found)
    moved = moves[moves["moved"]]
    said = f"Since {listed_runs(moves)}: {len(moved):,} of {len(moves):,} ratios to {baseline} changed beyond both intervals"
    if len(moved):
        most = moved.iloc[0]
        said += (
            f", the most that of {most['backend']} at {most['what']}T={most['steps']:,}, B={most['batch']:,}: from "
            f"{significant(most['then'])} to {significant(most['ratio'])} times {baseline}'s time (it took "
            f"{duration(most['then_time'])}, now {duration(most['time'])}; {baseline} {duration(most['then_base_time'])}, now "
            f"{duration(most['base_time'])}). Runs of the same code may differ as much. To find out, run `lstm-parity duel`"
        )
    return " ".join(filter(None, [f"{said}.", turn_sentence(found)]))


def turn_sentence(found: History) -> str | None:
    """Which backends gained or lost a valid time; None where none did."""
    if found.turns.empty:
        return None
    turns = zip(*(found.turns[c] for c in ("backend", "then", "now", "cells")), strict=True)
    said = [f"{backend} from {then} to {now} in {cells(count)}" for backend, then, now, count in turns]
    return f"Backends gained or lost a valid time since the previous run: {listed(said, MAX_TURNS)}."


def listed_runs(moves: pd.DataFrame) -> str:
    """The runs that the newest one is compared with."""
    names = list(dict.fromkeys(moves["since"]))
    return f"run {names[0]}" if len(names) == 1 else f"{len(names)} earlier runs (for each cell the last one that has it)"


def _described(data: ReportData, mine: pd.DataFrame) -> pd.DataFrame:
    """Each run with a label that is its own: its name or date, and its commit."""
    info = data.runs.drop_duplicates("run_id", keep="last").set_index("run_id")
    counts = data.rows["run_id"].value_counts()
    lines, taken = [], set()
    for run_id, when in zip(mine["run_id"], mine["when"], strict=True):
        about = info.loc[run_id].to_dict() if run_id in info.index else {}
        commit = str(parse_object(about.get("fingerprint")).get("git_commit") or "")[:7]
        name = about.get("name") if isinstance(about.get("name"), str) else ""
        at = f" {commit}" if commit else ""
        label = name or f"{when:%Y-%m-%d %H:%M}{at}"
        if label in taken:
            label = f"{when:%Y-%m-%d %H:%M:%S}{at}"
        while label in taken:
            label += "'"
        taken.add(label)
        lines.append((run_id, label, name, f"{when:%Y-%m-%d %H:%M}", commit, int(counts.get(run_id, 0))))
    return pd.DataFrame(lines, columns=["run_id", "label", "name", "when", "commit", "rows"])


def _shared(data: ReportData, rows: pd.DataFrame, runs: list[str]) -> pd.DataFrame:
    """Rows of earlier runs in cells of this one, which are their `place`, oldest run first."""
    keep = data.rows["run_id"].isin(runs) & data.rows["threads"].isin(rows["threads"].dropna().unique())
    here = rows.drop_duplicates("cell")[[*CELL_COLUMNS, "cell"]].rename(columns={"cell": "place"})
    past = with_dtypes(data.rows[keep]).merge(here, on=list(CELL_COLUMNS))
    past["timed"] = past["status"].isin(TIMED) & (past["median_s"] > 0)
    past["cell"] = past.groupby(["run_id", "place"]).ngroup()
    past = past.drop_duplicates(["cell", "backend"], keep="last")
    return past.assign(order=past["run_id"].map({r: n for n, r in enumerate(runs)})).sort_values("order", kind="stable")


def _turns(rows: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """How many cells of each backend have a time and had none, or the other way, by both statuses."""
    before = earlier.drop_duplicates(["place", "backend"], keep="last")[["place", "backend", "status", "timed"]]
    both = rows.merge(before, left_on=["cell", "backend"], right_on=["place", "backend"], suffixes=("", "_then"))
    turned = both[both["timed"] != both["timed_then"]].rename(columns={"status_then": "then", "status": "now"})
    counts = turned.groupby(["backend", "then", "now"]).size()
    return counts.sort_values(ascending=False, kind="stable").rename("cells").reset_index()


def _past(data: ReportData, earlier: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """The timed rows of these with their ratios over the baseline."""
    past = earlier[earlier["timed"]]
    if past.empty:
        return pd.DataFrame()
    runs = list(past["run_id"].unique())
    definitions = data.runs.drop_duplicates("run_id", keep="last").set_index("run_id")["definition"]
    recorded = {r for r in runs if r in definitions.index and parse_object(definitions[r]).get("baseline") == baseline}
    known = past["run_id"].isin(recorded)
    parts = [past[known]]
    if not known.all():
        parts.append(with_baseline(past[~known], data.samples[data.samples["used"].astype(bool)], baseline))
    past = without_unpaired(pd.concat(parts), baseline)
    return _over(past.drop(columns="cell").rename(columns={"place": "cell"}), baseline)


def _over(rows: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Timed rows as what a ratio is made of: its own time and the baseline's, in the same run and cell."""
    base = rows[rows["backend"] == baseline].set_index(["run_id", "cell"])
    theirs = pd.DataFrame({"base_time": base["median_s"], "base_status": base["status"]})
    over = rows[["run_id", "cell", "backend", *RATIO_COLUMNS, "median_s", "status"]].join(theirs, on=["run_id", "cell"])
    over["unstable"] = over["status"].eq("UNSTABLE").fillna(False) | over["base_status"].eq("UNSTABLE").fillna(False)
    return over.drop(columns=["status", "base_status"]).rename(columns={"median_s": "time"}).astype({"unstable": bool})


def _moves(table: pd.DataFrame, newest: int, titles: pd.Series[str]) -> pd.DataFrame:
    """The newest ratio of each cell and backend beside the one before it: those that moved first, by size of change."""
    now = table[table["order"] == newest]
    before = table[table["order"] < newest].drop_duplicates(["cell", "backend"], keep="last")
    before = before[["cell", "backend", "ratio", "low", "high", "time", "base_time", "unstable", "run"]]
    before.columns = pd.Index(
        ["cell", "backend", "then", "then_low", "then_high", "then_time", "then_base_time", "then_unstable", "since"]
    )
    moves = now.merge(before, on=["cell", "backend"])
    moves["change"] = moves["ratio"] / moves["then"]
    moves["moved"] = (moves["low"] > moves["then_high"]) | (moves["high"] < moves["then_low"])
    moves["what"] = moves["group"].map(titles).map(lambda title: f"{title}, " if title else "")
    return moves.assign(size=np.abs(np.log(moves["change"].to_numpy(dtype="float64")))).sort_values(
        ["moved", "size"], ascending=False, kind="stable", ignore_index=True
    )
