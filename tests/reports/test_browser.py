"""The page in a headless Chromium: no error, no request, every control and chart; narrow and wide, light and dark, on paper."""

import http.server
import shutil
import threading
from pathlib import Path

import pandas as pd
import pytest

from lstm_parity.reports import build

pytestmark = [pytest.mark.deep, pytest.mark.usefixtures("report_extra")]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
VIEWS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
SECONDS = 60


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("UNVERIFIED: no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="UNVERIFIED: playwright is not installed: tox -e browser")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Watched:
    """A page that is being watched: what its console said, and what it asked for."""

    def __init__(self, browser, address, width=1280, scheme="light", **options):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        self.page = self.context.new_page()
        self.said, self.asked = [], []
        self.page.on("console", lambda m: self.said.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.said.append(str(e)))
        self.page.on("dialog", lambda d: self.said.append(f"dialog {d.message}"))
        self.page.on("request", lambda r: self.asked.append(r.url))
        self.page.goto(address)
        self.page.wait_for_function("document.documentElement.dataset.drawn !== undefined", timeout=SECONDS * 1000)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            assert self.said == []
            assert [a for a in self.asked[1:] if not a.startswith(("data:", "blob:")) and not a.endswith("favicon.ico")] == []
        self.context.close()


def marks(page):
    """How many marks each chart shows."""
    return page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("figure")].map((f) => [f.dataset.chart,
             f.querySelectorAll(".chart svg .role-mark > *").length]))"""
    )


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_every_chart_is_drawn_and_nothing_sticks_out(browser, rich_report, width, scheme):
    out, _ = rich_report
    with Watched(browser, (out / "report.html").as_uri(), width, scheme) as watched:
        page = watched.page
        drawn = marks(page)
        assert len(drawn) == 11
        assert all(count > 2 for count in drawn.values()), drawn
        said = page.evaluate("() => [...document.querySelectorAll('.chart')].map((c) => [c.role, c.ariaLabel])")
        assert all(role == "img" and name and "Vega" not in name for role, name in said), said
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ends = page.evaluate("() => [...document.querySelectorAll('.chart svg')].map((s) => s.getBoundingClientRect().right)")
        assert max(ends) <= width
        assert page.evaluate(TEXT_CONTRAST) == []


def test_charts_grow_and_shrink_with_the_window(browser, rich_report):
    out, _ = rich_report
    with Watched(browser, (out / "report.html").as_uri(), 390) as watched:
        page = watched.page
        page.set_viewport_size({"width": 1280, "height": 900})
        page.wait_for_function(
            "() => Math.max(...[...document.querySelectorAll('.chart svg')].map((s) => s.clientWidth)) > 800"
        )
        page.set_viewport_size({"width": 390, "height": 900})
        page.wait_for_function(
            "() => Math.max(...[...document.querySelectorAll('.chart svg')].map((s) => s.getBoundingClientRect().right)) <= 390"
        )
        assert all(count > 2 for count in marks(page).values())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_rule_of_axe_is_broken(browser, rich_report, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="UNVERIFIED: axe is not installed: tox -e browser"
    )
    out, _ = rich_report
    with Watched(browser, (out / "report.html").as_uri(), scheme=scheme) as watched:
        found = axe.Axe().run(watched.page).response
    assert len(found["passes"]) > 30
    assert [(v["id"], v["nodes"][0]["html"]) for v in found["violations"]] == []


TEXT_CONTRAST = """() => {
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const lightness = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const rgb = (text) => {
    const n = text.match(/[\\d.]+/g).map(Number);
    return n.length > 3 && n[3] === 0 ? null : n.slice(0, 3);
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c) return c;
    }
    return [255, 255, 255];
  };
  const low = [];
  const html = "h1,h2,h3,p,li,td,th,a,label,button,summary,select";
  const svg = ".role-axis-label text,.role-axis-title text,.role-legend-label text";
  for (const e of document.querySelectorAll(`${html},${svg}`)) {
    if (!e.textContent.trim() || !e.getClientRects().length) continue;
    const style = getComputedStyle(e);
    const mine = rgb(e.namespaceURI.endsWith("svg") ? style.fill : style.color);
    const [a, b] = [lightness(mine), lightness(behind(e))].sort((x, y) => x - y);
    if ((b + 0.05) / (a + 0.05) < 4.5) low.push(`${e.tagName} ${e.textContent.slice(0, 30)}`);
  }
  return low;
}"""


def test_every_control_works(browser, rich_report):
    out, _ = rich_report
    with Watched(browser, (out / "report.html").as_uri()) as watched:
        page = watched.page
        selects = page.locator("#controls select")
        seen = {page.locator("#answer").inner_text()}
        for n in range(selects.count()):
            select = selects.nth(n)
            first = select.evaluate("(menu) => menu.selectedIndex")
            for option in [*range(select.locator("option").count()), first]:
                select.select_option(index=option)
                page.wait_for_timeout(80)
                seen.add(page.locator("#answer").inner_text())
                assert page.locator("#one-cell tbody tr").count() == 6
        assert len(seen) > 5
        at = page.locator("#answer").inner_text().split(":")[0].rpartition(", T=")[2]
        assert page.locator("#caption-bits-vs-time").inner_text().startswith(f"Shown: T={at}. ")
        drawn = marks(page)
        for figure in page.locator("figure").all():
            name = figure.get_attribute("data-chart")
            if figure.locator(".empty").is_visible():
                continue
            assert drawn[name] > 0
            assert figure.locator(".caption").inner_text().endswith("."), name
            figure.locator("summary").click()
            lines = figure.locator(".behind tbody tr")
            lines.first.wait_for()
            assert lines.count() > 0
            assert "NaN" not in figure.locator(".behind").inner_text()
        pair = page.locator("figure[data-chart=speed-up] .own select")
        before = page.locator("#caption-speed-up").inner_text()
        pair.nth(1).select_option(index=2)
        page.wait_for_function("(before) => document.getElementById('caption-speed-up').textContent !== before", arg=before)
        assert "than torch-cudnn in" in page.locator("#caption-speed-up").inner_text()
        box = page.locator("[data-filter]").last
        box.fill("torch-cudnn wrong")
        assert "of" in box.locator("xpath=ancestor::p").inner_text()


@pytest.mark.usefixtures("quick_pictures")
def test_what_is_filtered_comes_back_and_is_printed_and_what_is_jumped_to_is_in_sight(browser, synthetic, tmp_path):
    sizes = {"mode": ["inference", "training"], "hidden_size": [1, 2], "lengths": ["full", "ragged"], "cache": ["cold", "warm"]}
    many = sizes | {"bidirectional": [False, True], "num_layers": [1, 2], "launch": ["call", "graph"], "proj_size": [0, 1]}
    build.write_report(synthetic.synthetic_data(3, {"numpy": (1e-3, 0)}, samples=1, **many), tmp_path / "out")
    with Watched(browser, (tmp_path / "out/report.html").as_uri()) as watched:
        page = watched.page
        page.locator("[data-filter]").last.fill("nothing has this")
        page.goto("about:blank")
        page.go_back()
        page.wait_for_function("document.querySelectorAll('tbody tr[hidden]').length > 100")
        page.emulate_media(media="print")
        assert page.evaluate("[...document.querySelectorAll('tr[hidden]')].every((line) => line.getClientRects().length)")
        page.emulate_media(media="screen", forced_colors="active")
        swatch = "getComputedStyle(document.querySelector('#one-cell .bar')).backgroundColor"
        assert page.evaluate(swatch) == "rgb(0, 114, 178)"
        page.evaluate("location.hash = '#rows'")
        edges = [page.locator(place).bounding_box() for place in ("#controls", "#rows")]
        assert edges[0]["y"] + edges[0]["height"] <= edges[1]["y"]
        del watched.asked[1:]


def test_on_a_phone_the_name_of_a_line_stays_in_sight(browser, rich_report):
    out, _ = rich_report
    with Watched(browser, (out / "report.html").as_uri(), 390) as watched:
        table = watched.page.locator("#one-cell")
        assert table.evaluate("(t) => t.scrollWidth > t.clientWidth")
        table.evaluate("(t) => { t.scrollLeft = 200; }")
        name, edge = (table.locator("tbody tr").first.locator("td").first.bounding_box()["x"], table.bounding_box()["x"])
        assert abs(name - edge) < 3


def test_a_choice_by_keyboard_alone(browser, rich_report):
    out, _ = rich_report
    with Watched(browser, (out / "report.html").as_uri()) as watched:
        page = watched.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.closest('#controls') !== null"):
                break
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        before = page.locator("#answer").inner_text()
        page.keyboard.press("ArrowUp")
        page.wait_for_function("(before) => document.getElementById('answer').textContent !== before", arg=before)


def test_a_click_in_the_map_chooses_the_cell(browser, rich_report):
    out, _ = rich_report
    with Watched(browser, (out / "report.html").as_uri()) as watched:
        page = watched.page
        cells = page.locator("figure[data-chart=who-wins-where] .mark-rect.role-mark path")
        before = page.locator("#answer").inner_text()
        cells.first.hover(position={"x": 12, "y": 6})
        page.locator("#vg-tooltip-element.visible").wait_for()
        assert "speed, 95% interval" in page.locator("#vg-tooltip-element").inner_text()
        cells.first.click(position={"x": 12, "y": 6})
        page.wait_for_function("(before) => document.getElementById('answer').textContent !== before", arg=before)


@pytest.mark.usefixtures("quick_pictures")
def test_more_failures_than_at_first_have_room_and_words(browser, synthetic, tmp_path):
    data = synthetic.synthetic_data(3, sequence_length=[1, 10, 100], batch_size=[1, 8, 32, 64])
    data.rows.loc[(data.rows["batch_size"] == 64) & (data.rows["backend"] != "numpy"), "status"] = "TIMEOUT"
    data.rows.loc[data.rows["batch_size"] == 32, "status"] = "TIMEOUT"
    build.write_report(data, tmp_path / "out")
    with Watched(browser, (tmp_path / "out/report.html").as_uri()) as watched:
        page = watched.page
        page.locator("#controls select").last.select_option(label="64")
        page.wait_for_function("document.documentElement.dataset.busy === '0'")
        above = page.evaluate(
            """() => [...document.querySelectorAll("figure[data-chart=time-vs-sequence-length] [class*=alarm] text")].map((t) =>
                 t.getBoundingClientRect().top - t.closest("svg").getBoundingClientRect().top)"""
        )
        assert len(above) == 8
        assert min(above) >= 0
        page.locator("#controls select").last.select_option(label="32")
        page.wait_for_function("document.documentElement.dataset.busy === '0'")
        assert page.locator("#caption-time-vs-sequence-length").inner_text().startswith("No backend has what this chart shows")


def save(page, button):
    """What the button saves. Chromium swallows about every tenth of many downloads in a row, whosever page it is: ask again."""
    from playwright.sync_api import TimeoutError as TookTooLong

    for patience in (2, 2, 30):
        try:
            with page.expect_download(timeout=patience * 1000) as waiting:
                button.click()
            return waiting.value
        except TookTooLong:
            if patience == 30:
                raise
    return None


@pytest.mark.usefixtures("quick_pictures")
def test_a_saved_table_holds_no_formula(browser, synthetic, tmp_path):
    data = synthetic.synthetic_data(1, {"=1+\u05d0": (1e-3, 0)}, None, sequence_length=[1, 10])
    build.write_report(data, tmp_path / "out")
    with Watched(browser, (tmp_path / "out/report.html").as_uri(), accept_downloads=True) as watched:
        figure = watched.page.locator("figure[data-chart=who-wins-where]")
        save(watched.page, figure.get_by_role("button", name="as CSV")).save_as(tmp_path / "saved.csv")
    assert pd.read_csv(tmp_path / "saved.csv")["fastest"].tolist() == ["'=1+\u05d0"] * 2


def test_everything_can_be_saved(browser, rich_report, tmp_path):
    out, _ = rich_report
    with Watched(browser, (out / "report.html").as_uri(), accept_downloads=True) as watched:
        page = watched.page
        for figure in page.locator("figure").all():
            for kind, starts in (("SVG", b"<svg"), ("PNG", b"\x89PNG"), ("CSV", b"")):
                saved = save(page, figure.get_by_role("button", name=f"as {kind}"))
                file = tmp_path / saved.suggested_filename
                saved.save_as(file)
                assert file.suffix == f".{kind.lower()}"
                assert file.read_bytes().startswith(starts)
                if kind == "CSV":
                    assert len(file.read_text().splitlines()) > 1
                if kind != "PNG":  # it may have left the page: it says by itself what it is of
                    assert "run run-" in file.read_text()
                if kind == "SVG":
                    title = figure.locator(".chart").get_attribute("aria-label")
                    assert f"<title>{title}" in file.read_text()
                    assert figure.locator(".caption").inner_text()[:20] in file.read_text()


def test_on_paper_every_chart_is_there_and_dark_on_light(browser, rich_report, tmp_path):
    out, _ = rich_report
    with Watched(browser, (out / "report.html").as_uri(), scheme="dark") as watched:
        page = watched.page
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate("getComputedStyle(document.querySelector('.role-axis-label text')).fill") == "rgb(27, 31, 36)"
        assert not page.locator("nav").is_visible()
        assert all(marks(page).values())
        page.pdf(path=tmp_path / "page.pdf")
        assert (tmp_path / "page.pdf").stat().st_size > 50_000


def test_served_over_http(browser, rich_report):
    out, _ = rich_report

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(out))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with Watched(browser, f"http://127.0.0.1:{server.server_port}/report.html") as watched:
                assert all(marks(watched.page).values())
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.usefixtures("quick_pictures")
@pytest.mark.parametrize("case", ["one row", "only failures", "one backend", "extremes", "a name of JavaScript"])
def test_strange_stores(browser, synthetic, tmp_path, case):
    sizes = {"sequence_length": [1, 1000, 10**6], "batch_size": [1, 10**6]}
    data = {
        "one row": lambda: synthetic.synthetic_data(1, {"numpy": (1e-3, 1e-6)}),
        "only failures": lambda: synthetic.synthetic_data(2, failing=1.1, **sizes),
        "one backend": lambda: synthetic.synthetic_data(3, {"numpy": (1e-6, 1e-6)}, **sizes),
        "a name of JavaScript": lambda: synthetic.synthetic_data(
            5, {"a": (1e-6, 1e-9), "constructor": (1e-3, 1e-4)}, "a", **sizes
        ),
        "extremes": lambda: synthetic.synthetic_data(4, {"a": (1e-6, 1e-9), "b": (1e-3, 1e-4)}, "a", **sizes),
    }[case]()
    if case == "extremes":
        data.rows["median_s"] = [1e-6, 1e3] * 6
    build.write_report(data, tmp_path / "out")
    with Watched(browser, (tmp_path / "out/report.html").as_uri(), 390) as watched:
        assert watched.page.locator("#answer").inner_text().endswith(".")
        drawn = marks(watched.page)
        assert all(drawn.values()), drawn
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_pictures_are_looked_at(browser, rich_report):
    """Every SVG beside the page is one that a browser draws."""
    out, verdict = rich_report
    context = browser.new_context()
    page = context.new_page()
    for file in verdict.files:
        if file.suffix == ".svg":
            page.goto(Path(out, file.name).as_uri())
            assert page.evaluate("document.documentElement.getBBox().width") > 100
    context.close()
