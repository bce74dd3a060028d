"""The page without a browser: its structure, its accessibility, its colours, and the numbers of its charts."""

import itertools
import json
import re
from pathlib import Path

import pytest

import lstm_parity.reports as reports
from lstm_parity.reports import build
from lstm_parity.reports.data import DTYPES

pytestmark = pytest.mark.usefixtures("report_extra")
FOLDER = Path(reports.__file__).parent


@pytest.fixture(scope="module")
def page(rich_report, page_reader):
    return page_reader.PageReader((rich_report[0] / "report.html").read_text())


def test_the_charts_hold_the_rows(page, rich):
    newest = rich.rows[rich.rows["run_id"] == "run-3"]
    cells = page.records("cells")
    assert len(cells) == len(newest)
    expected = {
        (r["precision"], r["sequence_length"], r["batch_size"], r["backend"][:20]): r for r in newest.to_dict("records")
    }
    for cell in cells.to_dict("records"):
        row = expected[cell["precision"], cell["steps"], cell["batch"], cell["backend"].lstrip("\u2068")[:20]]
        assert cell["status"] == row["status"]
        timed = row["status"] in ("PASSED", "UNSTABLE")
        for short, column in (("time", "median_s"), ("low", "ci_low_s"), ("high", "ci_high_s")):
            found = cell[short]
            assert (found == pytest.approx(row[column], rel=1e-5)) if timed else found is None or found != found
        assert cell["floor"] == pytest.approx(row["floor_s"], rel=1e-5)
        assert cell["flops"] / cell["bytes"] == pytest.approx(row["flops"] / row["bytes"], rel=1e-5)


def test_every_ratio_of_every_pair_is_there(page):
    ratios, cells = page.records("ratios"), page.records("cells")
    timed = cells[cells["time"].notna()].groupby(["group", "steps", "batch"]).size()
    assert len(ratios) == (timed * (timed - 1)).sum()
    both = ratios.merge(
        ratios, left_on=["group", "steps", "batch", "backend", "base"], right_on=["group", "steps", "batch", "base", "backend"]
    )
    assert (both["ratio_x"] * both["ratio_y"]).to_list() == pytest.approx([1] * len(both), rel=0.06)


def test_the_borders_of_the_map_by_loops(page):
    wins = page.records("wins")
    found = {(r.group, r.steps, r.batch): r for r in wins.itertuples()}
    sizes = {g: (sorted(set(p["steps"])), sorted(set(p["batch"]))) for g, p in wins.groupby("group")}
    borders = 0
    for (group, steps, batch), cell in found.items():
        all_steps, all_batch = sizes[group]
        right = found.get((group, *[s for s in all_steps if s > steps][:1], batch))
        up = found.get((group, steps, *[b for b in all_batch if b > batch][:1]))
        assert cell.right == int(right is not None and right.field != cell.field)
        assert cell.up == int(up is not None and up.field != cell.field)
        borders += cell.right + cell.up
    assert borders


def test_every_chart_has_a_caption_in_every_group(page):
    assert {c["name"] for c in page.data["charts"]} == {
        "who-wins-where", "time-vs-sequence-length", "time-per-step-vs-sequence-length", "time-vs-batch-size",
        "time-per-step-vs-batch-size", "speed-up", "roofline", "bits-vs-time", "error-over-bound", "published", "history",
    }  # fmt: skip
    for chart in page.data["charts"]:
        records = page.records(chart["feeds"]["rows"]["table"])
        if "time" in records and chart["name"] not in ("published", "error-over-bound"):
            records = records[records["time"].notna()]
        for key in records[["group", *chart["captionedBy"]]].drop_duplicates().itertuples(index=False):
            caption = chart["captions"][str(key[0])]["\n".join(map(str, key[1:]))]
            assert re.match(r"\u2068?[A-Z<a-z].*\.$", caption, re.S), caption
            assert "nan" not in caption
        fields = {field for c in chart["columns"] for field in re.findall(r"\{(\w+)", c["field"]) or [c["field"]]}
        assert fields <= set(page.data["tables"][chart["feeds"]["rows"]["table"]]["columns"])


def test_a_chart_is_a_file_and_the_script_knows_none_by_name_and_no_field(page):
    from lstm_parity.reports.charts.chart import REGISTRY

    files = {file.stem for file in (FOLDER / "charts").glob("*.py")} - {"__init__", "chart", "encodings"}
    assert files == {registered.make.__module__.rpartition(".")[2] for registered in REGISTRY}
    script = (FOLDER / "page" / "report.js").read_text()
    for name in [c["name"] for c in page.data["charts"]]:
        assert f'"{name}"' not in script
    for field in {field for table in page.data["tables"].values() for field in table["columns"]} - {"status", "answer"}:
        assert not re.search(rf'"{field}"|\b(state|r|row|record|datum)\.{field}\b', script), field


def test_every_description_obeys_the_schema(page):
    import altair as alt

    for chart in page.data["charts"]:
        alt.LayerChart.from_dict({**chart["spec"], "$schema": alt.SCHEMA_URL}, validate=True)
        assert chart["spec"]["config"]["aria"] is False
        assert chart["spec"]["data"] == {"name": "rows"}
        assert "datasets" not in json.dumps(chart["spec"])


def test_structure_for_screen_readers(page):
    names = [tag for tag, _ in page.tags]
    assert [names.count(t) for t in ("header", "nav", "main", "footer", "h1")] == [1] * 5
    assert page.tags[0] == ("html", {"lang": "en"})
    levels = [level for level, _ in page.headings]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(text.strip() for _, text in page.headings)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        for reference in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(reference, ids[0]) in ids, (tag, attributes)
        if tag == "a":
            assert attributes["href"][1:] in ids
        if tag == "th":
            assert attributes.get("scope") == "col"
        if attributes.get("class", "").startswith("scroll"):  # what scrolls can be reached by keyboard, and has a name
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]
    figures = [a["data-chart"] for t, a in page.tags if t == "figure"]
    assert figures == [c["name"] for c in page.data["charts"]]
    pictures = [a for _, a in page.tags if a.get("role") == "img"]
    assert len(pictures) == len(figures)
    assert all(a["aria-label"] and a["aria-describedby"] == f"caption-{f}" for a, f in zip(pictures, figures, strict=True))
    assert names.count("details") >= len(figures)


def contrast(one, other):
    def lightness(colour):
        colour = "".join(2 * c for c in colour[1:]) if len(colour) == 4 else colour[1:]
        parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((lightness(one), lightness(other)))
    return (high + 0.05) / (low + 0.05)


def test_no_two_backends_that_are_drawn_look_alike():
    from lstm_parity.reports.charts.encodings import COLOURS, DASHES, SHAPES
    from lstm_parity.reports.view import MAX_BACKENDS

    for others in (SHAPES, DASHES):
        looks = {(COLOURS[n % len(COLOURS)], str(others[n % len(others)])) for n in range(MAX_BACKENDS)}
        assert len(looks) == MAX_BACKENDS


@pytest.mark.parametrize("scheme", [0, 1])
def test_colours_have_contrast(scheme):
    from lstm_parity.reports.charts.encodings import ALARM, COLOURS, NEUTRAL
    from lstm_parity.reports.charts.win_map import INKS

    css = (FOLDER / "page" / "report.css").read_text()
    light, dark = (dict(re.findall(r"--(\w+): (#\w+);", part)) for part in re.findall(r":root \{(.*?)\}", css, re.S))
    assert light.keys() == dark.keys()
    colour = (light, dark)[scheme]
    papers = [colour[p] for p in ("paper", "shade", "winbox", "badbox", "unablebox")]
    assert min(contrast(colour["ink"], p) for p in papers) >= 7
    for name in ("soft", "link", "good", "bad"):
        assert contrast(colour[name], colour["paper"]) >= 4.5, name
    assert min(contrast(c, colour["paper"]) for c in (*COLOURS, ALARM)) >= 3
    assert min(contrast(INKS[c], c) for c in COLOURS) >= 4.5
    assert contrast("#000000", NEUTRAL) >= 4.5


def test_the_verdict_answers(rich_report):
    out, verdict = rich_report
    markdown = (out / "report.md").read_text()
    text = " ".join(verdict.sentences)
    assert re.search(r"torch-cudnn is fastest in \d+ of 25 cells", text)
    assert "The property suite says PASS for numpy (" in text
    assert "The property suite says FAIL for torch-cpu: forward-float32" in text
    assert "No verdict of the property suite on this machine for torch-cudnn, mine.py:Mine, " in text
    assert re.search(r"lstm-parity verify torch-cudnn mine.py:Mine module.*:Backend --store 'my store.sqlite'`", text)
    assert "The suite finds 288 of 289 planted faults (missed: drops-one-bias), with 0 false alarms" in text
    assert re.search(r"Since run before the rewrite: \d+ of \d+ ratios to numpy changed", text)
    assert re.search(r"torch-cudnn reaches \d+% of it at (bfloat16|float32), .*sequence length 25, batch size 16", text)
    assert "1 run of other machines is in the store" in markdown
    assert "Baidu DeepBench" in markdown
    assert "floor reached" in markdown


def test_what_is_wrong_stands_out(page):
    said = [a.get("class", "") for _, a in page.tags]
    assert "box bad" in said
    assert {"status WRONG", "status SUSPECT", "status FAIL"} <= set(said)
    assert any("Not to be trusted" in text for _, text in page.headings)


@pytest.mark.usefixtures("quick_pictures")
def test_a_thousand_rows_fit_in_five_megabytes(synthetic, tmp_path):
    speeds = {f"b{n}": (1e-4 * (n + 1), 1e-5) for n in range(5)}
    data = synthetic.synthetic_data(
        1, speeds, "b0", 6, sequence_length=[1, 5, 10, 50, 100], batch_size=[1, 8, 32, 64], mode=["inference", "training"],
        precision=["float32", "tf32", "float16", "bfloat16", "float64"],
    )  # fmt: skip
    assert len(data.rows) == 1000
    build.write_report(data, tmp_path / "out")
    assert (tmp_path / "out/report.html").stat().st_size < 5e6


def test_exports_keep_the_true_names(rich_report, rich):
    import pandas as pd

    kept = pd.read_parquet(rich_report[0] / "results.parquet")
    assert list(kept.columns) == list(DTYPES)
    assert set(kept["backend"]) == set(rich.rows["backend"])
