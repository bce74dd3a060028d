"""Sweeps as data: presets, TOML files, words on the command line."""

import csv
import io

import pytest

from lstm_parity.harness.errors import CallError
from lstm_parity.harness.records import Cell
from lstm_parity.harness.sweep.grid import axis_values, cells_of, in_place_of, load_sweep, preset_names, with_weights

DEEPBENCH = """\
mode,hidden_size,batch_size,sequence_length
training,512,16 32 64 128,25
training,1024,16 32 64 128,25
training,2048,16 32 64 128,25
training,4096,16 32 64 128,25
training,1536,8 16 32,50
training,256,16 32 64,150
inference,512,1 2 4,25
inference,1024,1 2 4,25
inference,2048,1 2 4,25
inference,1536,1 2 4,50
inference,256,1 2 4,150
"""


def write(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


def test_every_preset_loads():
    assert preset_names() == ["batch-size", "cudnn-borders", "deepbench", "sequence-length", "smoke", "training"]
    for name in preset_names():
        sweep = load_sweep(name)
        assert cells_of(sweep.grids, {}), name
        assert sweep.title.startswith(name)


def test_deepbench_is_its_37_problems():
    expected = {
        (row["mode"], int(row["hidden_size"]), int(row["hidden_size"]), int(batch), int(row["sequence_length"]))
        for row in csv.DictReader(io.StringIO(DEEPBENCH))
        for batch in row["batch_size"].split()
    }
    cells = cells_of(load_sweep("deepbench").grids, {})
    assert len(cells) == 37
    assert {(c.mode, c.spec.input_size, c.spec.hidden_size, c.batch_size, c.sequence_length) for c in cells} == expected


def test_cudnn_borders_has_both_sides_of_each():
    cells = cells_of(load_sweep("cudnn-borders").grids, {})

    def sides(**fixed):
        return {c for c in cells if all(c.columns()[k] == v for k, v in fixed.items())}

    assert {192, 200} <= {c.spec.hidden_size for c in sides(mode="inference", precision="float32")}
    assert {128, 136} <= {c.spec.hidden_size for c in sides(mode="training")}
    assert {40, 48} <= {c.batch_size for c in sides(hidden_size=192)}
    assert {1024, 1152} <= {c.spec.hidden_size for c in sides(precision="float16")}
    assert {128, 136} <= {c.batch_size for c in sides(precision="float16", hidden_size=768)}
    assert {15, 16} <= {c.batch_size for c in sides(precision="float16", hidden_size=768)}
    assert {0, 64} <= {c.spec.proj_size for c in cells}
    assert {"full", "ragged"} == {c.lengths for c in cells}
    assert "float64" in {c.spec.precision for c in cells}
    assert {1, 2} == {c.spec.num_layers for c in cells}
    assert {False, True} == {c.spec.bidirectional for c in cells}


def test_a_grid_is_all_combinations_and_words_replace_axes(tmp_path):
    sweep = load_sweep(write(tmp_path, "[[grid]]\nsequence_length = [1, 2]\nhidden_size = [8, 16]\ninput_size = 'hidden'\n"))
    cells = cells_of(sweep.grids, {})
    assert [(c.sequence_length, c.spec.hidden_size, c.spec.input_size) for c in cells] == [
        (1, 8, 8),
        (1, 16, 16),
        (2, 8, 8),
        (2, 16, 16),
    ]
    assert {c.sequence_length for c in cells_of(sweep.grids, {"sequence_length": (5,)})} == {5}
    assert len(cells_of([*sweep.grids, *sweep.grids], {})) == 4  # each cell once


def test_a_title_says_which_axes_were_given_other_values():
    assert in_place_of("smoke: a look", {}) == "smoke: a look"
    words = {"batch_size": (1, 8), "precision": ("float32",)}
    assert in_place_of("smoke: a look", words) == "smoke with batch_size 1, 8; precision float32"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[grid]]\nbatchsize = 3\n", "line 2: unknown key 'batchsize'; did you mean 'batch_size'?"),
        ("budgets = 3\n[[grid]]\n", "line 1: unknown key 'budgets'; did you mean 'budget'?"),
        ("[[grid]]\nbatch_size = 1\n[[grid]]\n\nbatch_size = 'x'\n", "line 5: batch_size must be an integer, not 'x'"),
        ("[[grid]]\nbatch_size = [4, 0]\n", "line 2: batch_size must be in 1..2147483647, not 0"),
        ("[[grid]]\nbatch_size = -4\n", "not -4"),
        ("[[grid]]\nbatch_size = 1.5\n", "batch_size must be an integer, not 1.5"),
        ("[[grid]]\nbatch_size = true\n", "batch_size must be an integer, not True"),
        ("[[grid]]\nhidden_size = 10000000000000\n", "must be in 1..2147483647"),
        ("[[grid]]\nbatch_size = []\n", "batch_size has no values"),
        ("[[grid]]\nbidirectional = 1\n", "bidirectional must be true or false, not 1"),
        ("[[grid]]\nprecision = 'bfloat15'\n", "did you mean 'bfloat16'?"),
        ("[[grid]]\nmode = ['inference', 'train']\n", "mode must be one of inference, training, not 'train'"),
        ("backends = 'numpy'\n[[grid]]\n", "line 1: backends must be a list of names"),
        ("budget = '3'\n[[grid]]\n", "line 1: budget must be a number of seconds above 0, not '3'"),
        ("budget = nan\n[[grid]]\n", "budget must be a number"),
        ("title = 3\n[[grid]]\n", "title must be text, not 3"),
        ("title = 'x'\n", "at least one [[grid]] table is needed"),
        ("[grid]\nbatch_size = 1\n", "line 1: at least one [[grid]] table is needed"),
        ("[[grid]\n", "is not TOML"),
    ],
)
def test_a_wrong_toml_file_is_one_line_that_names_it(tmp_path, text, said):
    path = write(tmp_path, text)
    with pytest.raises(CallError) as caught:
        load_sweep(path)
    assert said in str(caught.value)
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [("smok", "did you mean smoke?"), ("nothing.toml", "No such file"), (".", "unknown preset")],
)
def test_an_unknown_sweep_is_one_line(name, said):
    with pytest.raises(CallError, match=said):
        load_sweep(name)


def test_a_projection_must_be_narrower_than_the_hidden_size():
    with pytest.raises(CallError, match="proj_size must be below hidden_size"):
        cells_of([{"proj_size": (64,), "hidden_size": (64,)}], {})


MODEL = {
    "input_size": 3,
    "hidden_size": 5,
    "num_layers": 2,
    "bidirectional": True,
    "proj_size": 0,
    "bias": True,
    "peephole": False,
}


def test_a_weights_file_sets_the_sizes_of_a_preset():
    cells = with_weights(load_sweep("smoke"), {"sequence_length": (7,)}, MODEL, "m.onnx")
    assert {(c.spec.input_size, c.spec.hidden_size, c.spec.num_layers, c.spec.bidirectional, c.weights) for c in cells} == {
        (3, 5, 2, True, "m.onnx")
    }
    assert {c.sequence_length for c in cells} == {7}


def test_a_size_that_contradicts_a_weights_file_is_refused(tmp_path):
    with pytest.raises(CallError, match=r"hidden_size 6 contradicts m\.onnx, which has hidden_size 5"):
        with_weights(load_sweep("smoke"), {"hidden_size": (6,)}, MODEL, "m.onnx")
    mine = load_sweep(write(tmp_path, "[[grid]]\ninput_size = 4\n"))
    with pytest.raises(CallError, match="input_size 4 contradicts"):
        with_weights(mine, {}, MODEL, "m.onnx")
    agrees = load_sweep(write(tmp_path, "[[grid]]\ninput_size = 3\n"))
    assert with_weights(agrees, {"hidden_size": (5,)}, MODEL, "m.onnx")[0] == Cell.of(
        input_size=3, hidden_size=5, num_layers=2, bidirectional=True, weights="m.onnx"
    )


def test_axis_values_drops_repeats():
    assert axis_values("batch_size", [4, 4, 2]) == (4, 2)
