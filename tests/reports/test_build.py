"""Whole reports: every figure of the tables against the frames, statuses, hostile text, and what is left behind."""

import csv
import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from lstm_parity.reports import ReportError, build
from lstm_parity.reports.data import DTYPES, TIME_COLUMNS
from lstm_parity.reports.sanitize import display_names

pytestmark = pytest.mark.usefixtures("report_extra")
QUICK = pytest.mark.usefixtures("quick_pictures")
TEXT_ALONE = pytest.mark.usefixtures("no_charts")

HOSTILE = (
    "a|b`c`<script>alert(1)</script >\n# **x** [l](http://e.example) ![i](http://e.example/i.png) &amp; </table> \" + 'x\\"
)


def read_markdown_table(text, title):
    lines = text.split(f"## {title}\n")[1].split("\n## ")[0].splitlines()
    return [
        [re.sub(r"\\(.)", r"\1", c.strip()) for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
        if line.startswith("|")
    ]


def text_of(seconds):
    """Three digits and a unit, by decimal arithmetic of its own."""
    digits, exponent = f"{seconds:.2e}".split("e")
    exponent = int(exponent)
    unit, shift = next((u, s) for u, s in (("s", 0), ("ms", 3), ("µs", 6), ("ns", 9)) if exponent >= -s)
    return f"{float(digits) * 10 ** (exponent + shift):.{max(0, 2 - exponent - shift)}f} {unit}"


@TEXT_ALONE
def test_every_figure_of_the_results(synthetic, tmp_path, page_reader):
    data = synthetic.synthetic_data(1, sequence_length=[1, 10, 100, 10**6], batch_size=[1, 64], failing=0.2)
    data.rows.loc[data.rows.index[data.rows["status"] == "PASSED"][3], "status"] = "UNSTABLE"
    verdict = build.write_report(data, tmp_path / "out")
    page = page_reader.PageReader((tmp_path / "out/report.html").read_text())
    head, *found = page.table("time per call")
    assert read_markdown_table((tmp_path / "out/report.md").read_text(), "All results")[0] == head
    assert read_markdown_table((tmp_path / "out/report.md").read_text(), "All results")[2:] == found
    assert verdict.baseline == "numpy"
    frame = data.rows.set_index(["backend", "sequence_length", "batch_size"])
    assert len(found) == len(frame)
    for line in found:
        cell = dict(zip(head, line, strict=True))
        row = frame.loc[(cell["backend"], int(cell["sequence length"].replace(",", "")), int(cell["batch size"]))]
        assert cell["status"] == row["status"]
        if row["status"] not in ("PASSED", "UNSTABLE"):
            assert {cell["time per call"], cell["95% interval"], cell["speed against numpy"], cell["set-up"]} == {"–"}
            continue
        assert cell["time per call"] == text_of(row["median_s"]) + " (unstable)" * (row["status"] == "UNSTABLE")
        low, high = text_of(row["ci_low_s"]), text_of(row["ci_high_s"])
        assert cell["95% interval"] in (f"{low} to {high}", f"{low.split()[0]} to {high}")
        assert cell["samples"] == "20"
        base = frame.loc[("numpy", *row.name[1:])]
        speed = cell["speed against numpy"]
        if row.name[0] == "numpy":
            assert speed == "baseline"
        elif base["status"] != "PASSED" and base["status"] != "UNSTABLE":
            assert speed == "–"
        elif row["ratio_ci_low"] > 1:
            assert "slower" in speed
            assert float(speed.split("x")[0]) == pytest.approx(row["ratio_to_baseline"], rel=6e-3)
        elif row["ratio_ci_high"] < 1:
            assert "faster" in speed
            numbers = [float(n) for n in re.findall(r"\d+\.?\d*", speed)]
            expected = [1 / row[c] for c in ("ratio_to_baseline", "ratio_ci_high", "ratio_ci_low")]
            assert numbers == pytest.approx(expected, rel=6e-3)
        else:
            assert speed.startswith("no clear difference")
    failed = data.rows[data.rows["status"] != "PASSED"]
    head, *found = page.table("reason")
    key = [head.index(c) for c in ("status", "backend", "sequence length", "batch size")]
    expected = {(r.status, r.backend, f"{r.sequence_length:,}", str(r.batch_size)) for r in failed.itertuples()}
    assert {tuple(line[i] for i in key) for line in found} == expected
    assert "a + b T" in " ".join(page.words)


@TEXT_ALONE
def test_exports_have_the_contracts_columns_and_no_forbidden_time(synthetic, tmp_path):
    data = synthetic.synthetic_data(5, sequence_length=[1, 2], failing=0.5)
    data.rows.loc[data.rows["status"] != "PASSED", list(TIME_COLUMNS)] = 0.123  # a frame that lies
    build.write_report(data, tmp_path / "out")
    with (tmp_path / "out/results.csv").open() as file:
        lines = list(csv.DictReader(file))
    parquet = pd.read_parquet(tmp_path / "out/results.parquet")
    assert list(lines[0]) == list(parquet.columns) == list(DTYPES)
    for line, (_, kept), (_, row) in zip(lines, parquet.iterrows(), data.rows.iterrows(), strict=True):
        assert (line["backend"], line["status"]) == (kept["backend"], kept["status"]) == (row["backend"], row["status"])
        if row["status"] == "PASSED":
            assert float(line["median_s"]) == kept["median_s"] == row["median_s"]
        else:
            assert all(line[c] == "" and pd.isna(kept[c]) for c in TIME_COLUMNS)
    assert "123 ms" not in (tmp_path / "out/report.md").read_text()


@pytest.mark.parametrize("baseline", [HOSTILE, "b"])
def test_hostile_text_is_text(synthetic, tmp_path, baseline, page_reader, request):
    if baseline == "b":  # the pictures of the other case have the same text and more
        request.getfixturevalue("quick_pictures")
    data = synthetic.synthetic_data(
        6,
        {HOSTILE: (1e-5, 1e-6), "b": (1e-4, 1e-7), HOSTILE[::-1]: (1e-3, 1e-8)},
        baseline,
        sequence_length=[1, 5, 9],
        batch_size=[1, 2],
    )
    data.rows.loc[[0, 3], "status"], data.rows.loc[[0, 3], "reason"] = "CRASHED", HOSTILE
    data.runs["fingerprint"] = json.dumps({"cpu": HOSTILE, "libraries": {HOSTILE: HOSTILE}})
    data = replace(data, rows=data.rows.assign(machine_id=HOSTILE), command=f"lstm-parity report --baseline '{HOSTILE}'")
    build.write_report(data, tmp_path / "out")
    text = (tmp_path / "out/report.html").read_text()
    for data_block in re.findall(r'<script type="application/json"[^>]*>(.*)</script>\n', text):
        assert not set("<>&") & set(data_block)
    page = page_reader.PageReader(text)
    assert [t for t, _ in page.tags].count("script") == len(page.specs) + 2
    assert not {"img", "link", "iframe"} & {t for t, _ in page.tags}
    assert all(attributes["href"].startswith("#") for tag, attributes in page.tags if tag == "a")
    shown = display_names([HOSTILE])[HOSTILE]
    assert len(shown) < len(HOSTILE)
    assert shown in {line[0] for line in page.table("time per call")[1:]}
    assert HOSTILE in {line[-1] for line in page.table("reason")[1:]}
    assert HOSTILE in "".join(page.words)
    markdown = (tmp_path / "out/report.md").read_text()
    own_lines = markdown.split("Command:")[0]
    assert "<" not in own_lines
    assert not re.search(r"(?<!\\)\]\(http", own_lines)
    widths = {len(line) for line in read_markdown_table(markdown, "All results")}
    assert len(widths) == 1
    for svg in (tmp_path / "out").glob("*.svg"):
        assert "<script" not in svg.read_text()


def test_signs_that_nothing_can_show_are_spelled_out(synthetic, tmp_path):
    data = synthetic.synthetic_data(6, {"b\x1b[31m\u2028": (1e-5, 1e-6), "b": (1e-4, 1e-7)}, "b", sequence_length=[1, 5])
    data.rows.loc[0, "status"], data.rows.loc[0, "reason"] = "CRASHED", "x\x00\uffff"
    data.runs["fingerprint"] = '{"cpu": "half \\ud800", "os": "two \\ud83d\\ude00"}'
    verdict = build.write_report(data, tmp_path / "out", baseline="b\x1b[31m\u2028")
    assert verdict.baseline == r"b\u001b[31m\u2028"
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    for shown in (r"b\u001b[31m\u2028", r"x\u0000\uffff", r"half \ud800", "two \U0001f600"):
        assert shown in page
    assert pd.read_csv(tmp_path / "out/results.csv")["backend"][0] == r"b\u001b[31m\u2028"


@pytest.mark.parametrize(
    "text", [HOSTILE, "\\\\|", "`a`", "1. x", "- x", "+", "2) y", "= z", "~~~", "$x$", "#", "a_b", "{{ x }}"]
)
def test_markdown_is_escaped_and_can_be_read_back(text):
    from lstm_parity.reports.page.markdown import escape_markdown

    escaped = escape_markdown(text)
    bare = re.sub(r"\\[\W_]", "", escaped)  # every escaped sign taken out
    assert not set(bare) & set("\\`*_[]{}|#~$<>\n")
    assert not re.match(r"([-+=]|\d+[.)])(\s|$)", escaped)
    read = re.sub(r"\\([\W_])", r"\1", escaped).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert read == " ".join(text.split())


@QUICK
def test_the_page_needs_no_network(synthetic, tmp_path, page_reader):
    build.write_report(synthetic.synthetic_data(7, sequence_length=[1, 10], batch_size=[1, 8]), tmp_path / "out")
    text = (tmp_path / "out/report.html").read_text()
    page = page_reader.PageReader(text)
    assert not [attributes for _, attributes in page.tags if {"src", "srcset", "data", "action"} & attributes.keys()]
    assert all(attributes["href"].startswith("#") for _, attributes in page.tags if "href" in attributes)
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "connect-src" not in policy
    assert "http" not in policy
    assert "@import" not in text
    assert "url" not in json.dumps(page.specs)
    assert len(text) < 5 << 20


@QUICK
def test_pictures_are_named_by_what_they_show(synthetic, tmp_path):
    data = synthetic.synthetic_data(8, sequence_length=[1, 10, 100], batch_size=[1, 8], failing=0.3)
    verdict = build.write_report(data, tmp_path / "out")
    names = {f.stem for f in verdict.files if f.suffix == ".svg"}
    both = {"who-wins-where", "roofline", "error-over-bound", "speed-up"} | {
        f"{what}-vs-{size}" for what in ("time", "time-per-step") for size in ("sequence-length", "batch-size")
    }
    expected = {f"{name}-float32-inference" for name in both}
    assert names == expected | {"bits-vs-time-inference", "speed-up-float32-inference-torch-cudnn"}
    markdown = (tmp_path / "out/report.md").read_text()
    assert set(re.findall(r"\]\((.*?)\.svg\)", markdown)) == names
    assert "Shown: T=10, B=8. torch-" in markdown


@QUICK
def test_no_chart_of_what_does_not_vary(synthetic, tmp_path):
    verdict = build.write_report(
        synthetic.synthetic_data(9, batch_size=[1, 8], mode=["inference", "training"]), tmp_path / "out"
    )
    names = {f.stem for f in verdict.files if f.suffix == ".svg"}
    assert {"time-vs-batch-size-float32-inference", "time-vs-batch-size-float32-training"} <= names
    assert not {n for n in names if "sequence-length" in n or n.startswith("history")}


@pytest.mark.parametrize("case", ["one row", "one backend", "only failures", "no samples", "extremes"])
def test_small_and_strange_runs(synthetic, tmp_path, case, page_reader):
    sizes = {"sequence_length": [1, 10**6], "batch_size": [1, 10**6]}
    data = synthetic.synthetic_data(10, {"numpy": (1e-6, 1e-3 / 10**3)}, **({} if case == "one row" else sizes))
    if case == "only failures":
        data = synthetic.synthetic_data(10, failing=1.1, **sizes)
    if case == "no samples":
        data = synthetic.synthetic_data(10, baseline=None, **sizes)
        data = replace(data, samples=data.samples.head(0))
    if case == "extremes":
        data.rows["median_s"] = data.rows["ci_low_s"] = data.rows["ci_high_s"] = [1e-6, 1e3, 1.0, 1e-3]
    verdict = build.write_report(data, tmp_path / "out")
    text = (tmp_path / "out/report.md").read_text()
    assert f", {len(data.rows)} row{'s' * (len(data.rows) != 1)}." in text
    page = page_reader.PageReader((tmp_path / "out/report.html").read_text())
    assert len(page.table("status")) > 1
    if case == "only failures":
        assert "No backend has a time in 4 cells." in verdict.sentences
        assert [c["name"] for spec in page.specs for c in spec["charts"]] == ["error-over-bound"]
    if case in ("one row", "one backend"):
        assert "Only one backend has a time" in verdict.sentences[0]
    if case == "no samples":
        assert verdict.sentences[0].startswith("Undecided in 4 cells")
        assert "faster than" not in text
    if case == "extremes":
        head, _, *found = read_markdown_table(text, "All results")
        times = {line[head.index("time per call")] for line in found}
        assert times == {"1.00 µs", "1000 s", "1.00 s", "1.00 ms"}


@TEXT_ALONE
def test_the_newest_run_is_reported_on(synthetic, tmp_path):
    old, new = (synthetic.synthetic_data(s, run_id=f"run-{s}", batch_size=[1, s]) for s in (2, 3))
    old.rows["row_id"] += 1000
    started = {"run-2": "2025-03-01T10:00:00+00:00", "run-3": "2025-03-01T10:00:01Z", "run-4": "2025-03-02T00:00:00Z"}
    runs = [synthetic.runs_frame(run_id, started_at=at) for run_id, at in started.items()]
    rows, samples = pd.concat([new.rows, old.rows]), pd.concat([old.samples, new.samples])
    data = replace(new, rows=rows, samples=samples, runs=pd.concat(runs))
    verdict = build.write_report(data, tmp_path / "out")
    assert verdict.run_id == "run-3"
    text = (tmp_path / "out/report.md").read_text()
    assert "1 other run in the store" in text
    assert "Newer runs without rows: run-4." in text
    assert set(pd.read_parquet(tmp_path / "out/results.parquet")["run_id"]) == {"run-3"}


@TEXT_ALONE
def test_the_first_lines_say_what_ran_where_and_what_failed(synthetic, tmp_path):
    data = synthetic.synthetic_data(14, batch_size=[1, 2])
    gone = data.rows["backend"] == "torch-cudnn"
    data.rows.loc[gone, "status"], data.rows.loc[gone, "reason"] = "UNAVAILABLE", "no CUDA device"
    build.write_report(data, tmp_path / "out", baseline="torch-cpu")
    lead = (tmp_path / "out/report.md").read_text().split("\n## ")[0]
    assert "torch-cudnn: UNAVAILABLE in all 2 cells: no CUDA device." in lead
    assert "3 backends (numpy, torch-cpu, torch-cudnn), 2 cells, 6 rows" in lead
    assert "Example CPU 9000" in lead
    assert "65% in samples" in lead
    assert "torch-cpu is fastest in 2 of 2 cells." in lead
    assert (tmp_path / "out/report.md").read_text().rstrip().endswith("    lstm-parity report --out here")


@pytest.mark.parametrize("command", ["lstm-parity sweep smoke --budget 1", ""])
@TEXT_ALONE
def test_the_machine_and_what_makes_the_rows_are_named(synthetic, tmp_path, command):
    data = synthetic.synthetic_data(14)
    machine = {"cpu": "EPYC", "gpu": ["H100", "H200"], "gpu_driver": "570.1", "cuda": "13.0", "libraries": {"torch": "2.13"}}
    data.runs["fingerprint"], data.runs["command"] = json.dumps(machine), command
    build.write_report(data, tmp_path / "out")
    text = (tmp_path / "out/report.md").read_text()
    assert "cpu EPYC; gpu H100, H200; gpu driver 570.1; cuda 13.0; libraries torch 2.13." in text
    assert f"Measured by: {command or 'unknown'}\n" in text


@TEXT_ALONE
def test_how_much_of_a_run_is_missing_is_said(synthetic, tmp_path):
    data = synthetic.synthetic_data(14)
    here = len(data.rows[["sequence_length", "batch_size"]].drop_duplicates())
    data.runs["definition"] = json.dumps({"cells": [{}] * 57})
    data.runs["finished_at"] = None
    build.write_report(data, tmp_path / "out")
    assert f"not finished: {here} of 57 cells are done." in (tmp_path / "out/report.md").read_text()


@pytest.mark.parametrize("plain", [True, False])
@TEXT_ALONE
def test_what_is_the_same_everywhere_is_said_where_it_is_unusual(synthetic, tmp_path, plain):
    build.write_report(synthetic.synthetic_data(14, bias=[plain], peephole=[not plain]), tmp_path / "out")
    same = next(line for line in (tmp_path / "out/report.md").read_text().splitlines() if "The same in all cells" in line)
    assert ("without bias, with peepholes" in same) is not plain
    assert plain is not ("bias" in same or "peephole" in same)


@TEXT_ALONE
def test_what_a_store_does_not_know_is_said(synthetic, tmp_path):
    data = synthetic.synthetic_data(14)
    unknown = data.rows.assign(bias=None, launch=None)
    build.write_report(replace(data, rows=unknown), tmp_path / "out")
    assert "bias unknown" in (tmp_path / "out/report.md").read_text()


@TEXT_ALONE
def test_a_failure_says_where_and_the_rest_how_many(synthetic, tmp_path, page_reader):
    data = synthetic.synthetic_data(14, {f"b{n:02}": (1e-4, 1e-6) for n in range(12)}, "b00", samples=6, batch_size=[1, 2])
    data.rows.loc[1:9, "status"], data.rows.loc[1:9, "reason"] = "TIMEOUT", ""
    data.rows.loc[10:11, "status"], data.rows.loc[10:11, "reason"] = "CRASHED", "segfault"
    data.rows.loc[23, "status"] = "WRONG"
    build.write_report(data, tmp_path / "out")
    text = (tmp_path / "out/report.html").read_text()
    page = page_reader.PageReader(text)
    assert "b11: WRONG in 1 cell (batch size 2): no reason given." in page.words
    assert "b10: CRASHED in 1 cell (batch size 1): segfault." in page.words
    assert "And 3 more kinds of failure: TIMEOUT in 3 rows; see the table of rows that are not PASSED." in page.words
    heading = re.search(r'id="rows-1">(.*?)<', text)
    assert heading[1] == "Rows that are not PASSED"
    assert text.count('href="#rows-1"') == 2


@TEXT_ALONE
def test_a_huge_table_says_where_the_rest_is(synthetic, tmp_path):
    data = synthetic.synthetic_data(15, samples=6, sequence_length=list(range(1, 15)), batch_size=list(range(1, 15)))
    build.write_report(data, tmp_path / "out")
    text = (tmp_path / "out/report.md").read_text()
    assert "The first 500 of 588 rows; all are in results.csv." in text
    assert len(read_markdown_table(text, "All results")) == 502
    assert len(pd.read_csv(tmp_path / "out/results.csv")) == 588


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.head(0), "there are no result rows"),
        (lambda rows: rows.drop(columns="status"), "the rows lack the column status"),
        (lambda rows: rows.assign(status="FINE"), "unknown status 'FINE'"),
        (lambda rows: rows.assign(median_s=-1.0), "median_s -1.0, which is no time"),
        (lambda rows: rows.assign(backend="numpy"), "two rows for one cell"),
        (lambda rows: rows.assign(row_id=1), "row_id 1 occurs twice"),
        (lambda rows: rows.assign(batch_size="many"), "column batch_size"),
    ],
)
@TEXT_ALONE
def test_bad_frames_leave_one_line_and_no_file(synthetic, tmp_path, change, message):
    data = synthetic.synthetic_data(16)
    data = replace(data, rows=change(data.rows))
    with pytest.raises(ReportError, match=re.escape(message)) as caught:
        build.write_report(data, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@TEXT_ALONE
def test_unknown_baseline_names_the_known_ones(synthetic, tmp_path):
    with pytest.raises(ReportError, match="numpy, torch-cpu, torch-cudnn"):
        build.write_report(synthetic.synthetic_data(17), tmp_path / "out", baseline="nobody")
    assert list(tmp_path.iterdir()) == []


@TEXT_ALONE
def test_a_failure_keeps_the_report_that_was_there(synthetic, tmp_path, monkeypatch):
    data = synthetic.synthetic_data(18)
    build.write_report(data, tmp_path / "out")
    before = {f.name: f.read_bytes() for f in (tmp_path / "out").iterdir()}

    def fails(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", fails)
    with pytest.raises(ReportError, match="No space left"):
        build.write_report(synthetic.synthetic_data(19), tmp_path / "out")
    assert {f.name: f.read_bytes() for f in (tmp_path / "out").iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    with pytest.raises(ReportError, match="cannot write"):
        build.write_report(data, tmp_path / "out" / "report.md" / "deeper")


@TEXT_ALONE
def test_a_missing_extra_is_named(synthetic, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "find_spec", lambda name: None if name == "altair" else object())
    with pytest.raises(ReportError, match=re.escape("altair; get it with: pip install 'lstm-parity[report]'")):
        build.write_report(synthetic.synthetic_data(20), tmp_path / "out")


@QUICK
def test_no_lead_is_claimed_where_there_is_none(synthetic, tmp_path):
    alike = {"a": (1e-4, 1e-5), "b": (1e-4, 1e-5)}
    build.write_report(synthetic.synthetic_data(1, alike, baseline="a", sequence_length=[10, 100], noise=0.2), tmp_path / "tie")
    text = (tmp_path / "tie" / "report.md").read_text()
    assert "largest lead" not in text
    assert "no backend has a clear lead" in text
    data = synthetic.synthetic_data(1, {"a": (1e-4, 1e-5), "b": (2e-4, 2e-5)}, baseline="a", sequence_length=[10, 100])
    build.write_report(data, tmp_path / "win")
    assert "the largest lead is that of a at T=" in (tmp_path / "win" / "report.md").read_text()


@QUICK
def test_an_unstable_time_is_said_where_a_winner_is_named(synthetic, tmp_path):
    data = synthetic.synthetic_data(1, {"a": (1e-4, 1e-5), "b": (2e-4, 2e-5)}, baseline="a", sequence_length=[10, 100])
    data.rows.loc[(data.rows["backend"] == "b") & (data.rows["sequence_length"] == 10), ["status", "reason"]] = (
        "UNSTABLE",
        "busy",
    )
    build.write_report(data, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "a is fastest in 2 of 2 cells, 1 of them with an UNSTABLE time" in text
    assert "~: a time there is UNSTABLE" in text
