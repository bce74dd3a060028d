"""The presets for GPUs, from the command line, ten minutes each; their results are stored and published.

A sweep that takes longer than LIMIT_S is interrupted: the finished cells are kept, the others are UNVERIFIED.
"""

import json
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from lstm_parity.harness.records import BAD
from lstm_parity.harness.store import Store

pytestmark = [pytest.mark.gpu, pytest.mark.quiet]
CHECKOUT = Path(__file__).resolve().parents[2]
BACKENDS = ("torch-cudnn", "cupy-raw")
BUDGETS_S = {"cudnn-borders": 2.0, "deepbench": 1.0}
LIMIT_S, MAX_CLOSING_S = 570.0, 120.0
MAX_REASONS = 20


def store_of(preset):
    """A store for each preset: a report is about the newest run. Git ignores them."""
    return f"lstm-parity.sqlite-{preset}"


def slug(name):
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def command(*arguments):
    """A command to run in the checkout, with relative paths: a report shows the command that made it."""
    return [sys.executable, "-m", "lstm_parity", *map(str, arguments)]


def sweep(preset, backends, budget_s, limit_s):
    """The exit code and the standard error."""
    named = [word for backend in backends for word in ("--backend", backend)]
    words = command("sweep", preset, *named, "--budget", budget_s, "--store", store_of(preset))
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT)
    try:
        stderr = process.communicate(timeout=limit_s)[1]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        stderr = process.communicate(timeout=MAX_CLOSING_S)[1]
    finally:
        process.kill()
    return process.returncode, stderr


def newest_run(preset):
    """The rows of the newest run, its number of cells, and how many of them are finished."""
    with Store(CHECKOUT / store_of(preset)) as store:
        frames = store.frames()
        rows, runs = frames.rows, frames.runs
        run = runs.iloc[-1]
        done = len(store.finished_cells(run["run_id"]))
    return rows[rows["run_id"] == run["run_id"]], len(json.loads(run["definition"])["cells"]), done


def publish(preset, folder, rows):
    """Write the rows and their report into the folder. Returns a line that says so."""
    (CHECKOUT / folder).mkdir(parents=True, exist_ok=True)
    words = ("report", "--store", store_of(preset), "--out", folder)
    if not all(find_spec(name) for name in ("altair", "jinja2", "vl_convert")):
        rows.drop(columns="row_id").to_csv(CHECKOUT / folder / "results.csv", index=False)
        return f"the extra 'report' is not installed; the page is made by: python -m lstm_parity {' '.join(words)}"
    for old in (CHECKOUT / folder).glob("*.svg"):
        old.unlink()
    done = subprocess.run(command(*words), capture_output=True, text=True, cwd=CHECKOUT, check=False)
    assert done.returncode == 0, done.stderr
    for large in ("report.html", "results.parquet"):
        (CHECKOUT / folder / large).unlink()
    return f"published in {folder}"


@pytest.mark.parametrize("preset", BUDGETS_S)
def test_no_row_is_bad(preset, gpu_name, backend_of, capsys):
    for backend in BACKENDS:
        backend_of(backend)
    code, stderr = sweep(preset, BACKENDS, BUDGETS_S[preset], LIMIT_S)
    assert code in (0, 1, 130), stderr
    rows, cells, done = newest_run(preset)
    assert done, f"no cell was finished\n{stderr}"
    published = publish(preset, f"reports/published/{slug(gpu_name)}/{preset}", rows)
    with capsys.disabled():
        sys.stderr.write(f"\n{stderr}{preset}: {published}\n")
    wrong = rows[rows["status"].isin(BAD)]
    described = [f"{row.backend} {row.status}: {row.reason}" for row in wrong.itertuples()]
    assert not described, "\n".join(described[:MAX_REASONS])
    assert code != 1, stderr
    if done < cells:
        pytest.skip(f"UNVERIFIED: {cells - done} of {cells} cells, which {LIMIT_S:.0f} s were too short for; no other is bad")
