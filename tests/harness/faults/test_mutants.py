"""Each check can fail: on a backend that breaks what it claims, within few examples. `lstm-parity mutants` tries all on all."""

import json
import re

import pytest

from lstm_parity.harness.commands.mutants import try_mutant
from lstm_parity.harness.faults.mutants import right, wrong
from lstm_parity.harness.faults.score import FaultResult, Score, as_json, as_markdown
from lstm_parity.harness.verify.checks import CHECKS
from lstm_parity.harness.verify.isolation.local import LocalExecutor
from lstm_parity.harness.verify.search import search

pytestmark = pytest.mark.deep

WRONG = {mutant.name: mutant for mutant in wrong()}
KILLS = {
    "form": "subclass-returned",
    "forward-float64": "float32-behind-float64",
    "forward-float32": "forget-bias-slightly-off",
    "forward-tf32": "bfloat16-products-behind-tf32",
    "forward-float16": "input-and-forget-swapped-float16",
    "forward-bfloat16": "cell-state-ignored-bfloat16",
    "stack": "second-layer-reads-x",
    "bidirectional": "reverse-not-turned-back",
    "lengths": "lengths-ignored",
    "projection": "projection-before-tanh",
    "peepholes": "output-sees-old-cell",
    "no-bias": "bias-assumed",
    "gradients-float32": "forget-path-missing",
    "gradients-float16": "forget-path-missing-float16",
    "gradients-bfloat16": "forget-path-missing-bfloat16",
    "changing-shapes": "buffer-cached-without-batch",
    "precision-float64": "float32-behind-float64",
    "precision-float32": "tf32-rounded-behind-float32",
    "precision-tf32": "bfloat16-products-behind-tf32",
    "precision-float16": "bfloat16-products-behind-float16",
    "precision-bfloat16": "bfloat16-accumulation-behind-bfloat16",
    "rows-permuted": "first-rows-state-for-all",
    "row-alone": "rows-centred",
    "batch-size": "last-row-zero",
    "row-of-nan": "nan-spreads-over-the-batch",
    "causal": "looks-ahead",
    "state-handed-on": "hidden-state-ignored",
    "reverse-is-flipped": "reverse-not-turned-back",
    "two-halves": "reverse-state-from-forward",
    "layers-chained": "second-layer-reads-x",
    "units-permuted": "tail-of-tile-zero",
    "lengths-row-alone": "lengths-ignored",
    "padding-of-nan": "padding-times-zero",
    "lengths-full": "lengths-one-short",
    "gradients-padding": "padding-gradient-not-zero",
    "bias-moved": "recurrent-bias-missing",
    "memory-holds": "input-and-forget-swapped",
    "zero-weights": "forget-bias-one",
    "bounded": "cell-not-squashed",
    "large-inputs": "sigmoid-overflows",
    "deterministic": "order-of-sums-changes",
    "inputs-untouched": "input-written",
    "read-only-inputs": "read-only-input-refused",
    "strided-inputs": "strides-ignored",
    "outputs-kept": "output-buffer-reused",
    "calls-independent": "answer-kept-by-input",
    "two-instances": "weights-shared-by-instances",
    "memory-steady": "every-output-kept",
    "gradients-linear": "large-gradient-clipped",
    "gradients-fresh": "gradients-accumulate",
    "lecture-teddy": "looks-ahead",
    "lecture-teddy-both-ways": "reverse-reads-forward",
    "lecture-long-periods": "state-lost-between-chunks",
    "gradients-float64": "forget-path-missing-float64",
    "gradients-tf32": "forget-path-missing-tf32",
    "gradients-zero": "weight-decay-added",
    "gradients-units-permuted": "last-units-gradient-missing",
}
"""A mutant for each check to find."""


FOUND_LATE = {
    "strided-gradient-misread": "strided-inputs",
    "gradients-not-deterministic": "deterministic",
    "steps-cached-without-length": "changing-shapes",
}
"""Real defects that the first checks of the list cannot see, and the check that does."""


def failure_of(check_name, mutant_name, examples):
    """What the check finds in the mutant within so many examples."""
    check, backend = next(check for check in CHECKS if check.name == check_name), WRONG[mutant_name].backend
    found = search(check, LocalExecutor(backend), backend.capabilities, examples=examples, seed_value=0, shrink=False)
    assert found.failure is not None, f"{check_name} does not find {mutant_name}: {WRONG[mutant_name].what}"
    return found.failure


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_every_check_finds_its_mutant(check):
    failure_of(check.name, KILLS[check.name], 30)


def test_there_are_enough_and_every_real_defect_is_one_of_them():
    assert len(wrong()) >= 490
    assert len(right()) >= 20
    defects = " ".join(mutant.after for mutant in wrong())
    for defect in (
        "pytorch 177016",
        "pytorch 177834",
        "pytorch 179445",
        "tensorflow 60192",
        "onnxruntime 1400",
        "pytorch 94754, 95118",
        "pytorch 619",
        "pytorch 35661, 18110",
        "onnxruntime 4187",
        "tensorflow 41630",
        "ddbourgin/numpy-ml 42",
        "intel/torch-xpu-ops 3770",
    ):
        assert defect in defects


@pytest.mark.parametrize("name", [m.name for m in wrong() if m.after and m.name not in KILLS.values()])
def test_real_defects_are_found(name):
    """Those that no check of KILLS is shown to find."""
    if name in FOUND_LATE:
        failure_of(FOUND_LATE[name], name, 30)
    else:
        assert try_mutant(WRONG[name], 30, first_only=True).killed_by


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_every_gate_swap_is_found(precision):
    end = "" if precision == "float32" else f"-{precision}"
    swaps = [m for m in wrong() if re.fullmatch(f"(input|forget|candidate)-and-(forget|candidate|output)-swapped{end}", m.name)]
    assert len(swaps) == 6
    for mutant in swaps:
        assert try_mutant(mutant, 10, first_only=True).killed_by, mutant.name


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("tf32-rounded-behind-float32", "TF32"),
        ("tf32-truncated-behind-float32", "TF32"),
        ("float16-products-behind-float32", "float16"),
        ("bfloat16-products-behind-float32", "bfloat16"),
    ],
)
def test_products_of_another_precision_are_named(name, named):
    reason = failure_of("precision-float32", name, 3).reason
    assert named in reason, reason


def test_the_score_as_json_and_as_markdown():
    killed = FaultResult("a", "gates", "What a does.", "pytorch 1", ("form", "bounded"), ("form", "bounded"), "form: why")
    survivor = FaultResult("b", "gates", "What b does.", "", (), ("form",), "")
    alarm = FaultResult("c", "right", "What c does.", "", ("form",), ("form",), "form: why")
    score = Score((killed, survivor), (alarm,))
    found = json.loads(as_json(score))
    assert {name: found[name] for name in ("schema", "total", "killed", "survivors", "false_alarms")} == {
        "schema": 1,
        "total": 2,
        "killed": 1,
        "survivors": ["b"],
        "false_alarms": ["c"],
    }
    text = as_markdown(score, ["form", "bounded"])
    assert "1 of 2 wrong ones killed; 1 of 1 right ones flagged." in text
    assert "**Survivor**: `b`" in text
    assert "| gates | `a` (after pytorch 1) | What a does. | form, bounded |" in text
