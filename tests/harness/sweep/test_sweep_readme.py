"""harness/sweep/README.md: its commands parse, its sweep file loads, and it names every dishonest backend."""

import re
import shlex
import textwrap
from pathlib import Path

import pytest

from lstm_parity.harness.cli import build_parser
from lstm_parity.harness.records import STATUSES
from lstm_parity.harness.sweep.grid import AXES, cells_of, load_sweep

ROOT = Path(__file__).resolve().parents[3]
README = ROOT / "harness" / "sweep" / "README.md"
TEXT = README.read_text(encoding="utf-8")


@pytest.mark.parametrize("line", re.findall(r"^    lstm-parity (.*)$|`lstm-parity ([^`]*)`", TEXT, re.MULTILINE), ids=str)
def test_commands_parse(line):
    words = shlex.split("".join(line), comments=True)
    build_parser().parse_args([*words, *(["old", "new"] if words == ["compare"] else [])])


def test_the_sweep_file_loads_and_has_every_axis(tmp_path):
    block = re.search(r"^    title = .*?(?=^\S)", TEXT, re.MULTILINE | re.DOTALL).group()
    path = tmp_path / "mine.toml"
    path.write_text(textwrap.dedent(block))
    sweep = load_sweep(str(path))
    assert len(cells_of(sweep.grids, {})) == 16
    assert set(sweep.grids[0]) == set(AXES)


def test_every_status_is_explained():
    assert all(re.search(rf"^\|.*\b{status}\b", TEXT, re.MULTILINE) for status in STATUSES)


def test_every_dishonest_backend_is_named_and_every_named_one_exists():
    folders = {"": ROOT / "tests" / "harness" / "sweep" / "dishonest", "gpu/": ROOT / "tests" / "gpu" / "dishonest"}
    files = {mark + path.stem for mark, folder in folders.items() for path in folder.glob("*.py") if path.name != "cheating.py"}
    rows = re.search(r"^\| in scope.*?\n\n", TEXT, re.MULTILINE | re.DOTALL).group().strip().splitlines()[2:]
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[2])]
    assert len(named) == len(set(named))
    assert set(named) == files


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#]+)", TEXT))
def test_links_lead_somewhere(path):
    assert (README.parent / path).resolve().exists()
