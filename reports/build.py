"""Write a report: pages, charts and exports of the newest run, into a folder."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from .data import DTYPES, ReportData, ReportError, SelectedRun, select_run
from .ratios import recorded_baseline, with_baseline, without_unpaired
from .sanitize import display_names, escape, printable, with_display_names

_EXTRA = ("altair", "jinja2", "vl_convert")


@dataclass(frozen=True)
class WrittenReport:
    """A report that was written, and what it says."""

    run_id: str
    """What was reported on."""
    baseline: str
    """What its ratios are over."""
    sentences: tuple[str, ...]
    """Which backend wins where, what failed, whether it can be trusted, what changed."""
    files: tuple[Path, ...]
    """What was written, report.html first."""


def write_report(data: ReportData, out: Path, baseline: str | None = None) -> WrittenReport:
    """Write report.html, report.md, results.csv, results.parquet and the charts (SVG) of the newest run into `out`.

    baseline: the backend that ratios are over; default: the recorded one, else the one with the most times. Ratios over another
    one are computed from the samples. All files are complete before the first appears in `out`.

    Raises ReportError: nothing to report on, rows that contradict themselves, an unknown baseline, a missing extra, or a folder
    that cannot be written.
    """
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise ReportError(f"a report needs {', '.join(missing)}; get it with: pip install 'lstm-parity[report]'")
    data, baseline = printable(data), escape(baseline)
    run = select_run(data)
    rows, chosen = _over_baseline(run, baseline)
    contents = {"results.csv": "", "results.parquet": "", "report.md": "", "report.html": ""}
    sentences, texts = _render(data, run, rows, chosen)
    contents |= texts
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
            unfinished = Path(folder)
            for name, text in contents.items():
                (unfinished / name).write_text(text, encoding="utf-8")
            rows[list(DTYPES)].to_csv(unfinished / "results.csv", index=False)
            rows[list(DTYPES)].to_parquet(unfinished / "results.parquet", index=False)
            out.mkdir(exist_ok=True)
            for name in contents:  # the HTML page last: it is what a reader opens
                (unfinished / name).replace(out / name)
    except OSError as error:
        raise ReportError(f"cannot write the report to {out}: {error.strerror or error}") from error
    names = ["report.html", *(n for n in contents if n != "report.html")]
    return WrittenReport(run.run_id, chosen, tuple(sentences), tuple(out / n for n in names))


def _over_baseline(run: SelectedRun, baseline: str | None) -> tuple[pd.DataFrame, str]:
    """The run's rows with ratios over the wanted baseline, and its name."""
    rows = run.rows
    known = list(rows["backend"].unique())
    if baseline is not None and baseline not in known:
        raise ReportError(f"the baseline {baseline!r} is not in run {run.run_id}; its backends are {', '.join(known)}")
    recorded = recorded_baseline(rows, run.definition)
    times = rows.loc[rows["timed"], "backend"].value_counts()
    chosen = baseline or recorded or max(known, key=lambda b: int(times.get(b, 0)))
    if chosen != recorded:
        rows = with_baseline(rows, run.samples, chosen)
    return without_unpaired(rows, chosen), chosen


def _render(data: ReportData, run: SelectedRun, rows: pd.DataFrame, baseline: str) -> tuple[list[str], dict[str, str]]:
    """The report's sentences, and the text of every page and picture by file name."""
    from .page.content import make_content
    from .page.html import to_html
    from .page.markdown import to_markdown
    from .page.pictures import pictures

    names = display_names(dict.fromkeys([*data.rows["backend"].unique(), *data.verdicts["backend"].unique()]))
    rows = rows.assign(backend=rows["backend"].map(names).astype("string"))
    run = replace(run, rows=run.rows.assign(backend=run.rows["backend"].map(names).astype("string")))
    true_names = {shown: name for name, shown in names.items()}
    content = make_content(with_display_names(data, names), run, rows, names[baseline], true_names)
    pictured = {s.key: pictures(content, s.charts) for s in content.sections}
    texts = {f"{p.name}.svg": p.svg for group in pictured.values() for p in group}
    texts |= {"report.md": to_markdown(content, pictured), "report.html": to_html(content)}
    return content.verdict, texts
