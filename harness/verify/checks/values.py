"""Results compared with the equations, in each precision."""

from __future__ import annotations

from lstm_parity.backends.problem import STORAGE

from ...problems.problem import Problem
from ...problems.requirements import ProblemRequirements
from ...problems.strategies import LONG, TILE_BOUNDARIES
from ..check import CheckList, CheckRun

MAX_STEPS = TILE_BOUNDARIES[-1]

checks = CheckList()


@checks.add(
    "form",
    "forward returns (y, LSTMState(h_n, c_n)), arrays of the promised kind, shape and dtype",
    ProblemRequirements(half_training=True),
    sensitive_to=(),
)
def _form(run: CheckRun, problem: Problem) -> None:
    run.call(problem)


def _agrees(run: CheckRun, problem: Problem) -> None:
    run.require_equations(problem, run.call(problem))


for _precision in STORAGE:
    checks.add(
        f"forward-{_precision}",
        f"the result of one layer satisfies the equations to within the rounding of {_precision}",
        ProblemRequirements(precision=_precision, several_layers=False, training=False, max_steps=LONG[-1]),
        cost=0.25,
    )(_agrees)

for _name, _subject, _requirements in (
    (
        "stack",
        "the results of several layers",
        ProblemRequirements(several_layers=True, training=False, max_steps=MAX_STEPS),
    ),
    ("bidirectional", "the results of both directions", ProblemRequirements(bidirectional=True)),
    ("lengths", "the results of rows of different lengths", ProblemRequirements(lengths=True)),
    ("projection", "the results of an LSTM with projection", ProblemRequirements(projection=True, min_hidden=2)),
    ("peepholes", "the results of an LSTM with peepholes", ProblemRequirements(peephole=True)),
    ("no-bias", "the results of an LSTM without biases", ProblemRequirements(bias=False)),
):
    checks.add(_name, f"{_subject} satisfy the equations", _requirements)(_agrees)

for _precision in STORAGE:
    checks.add(
        f"gradients-{_precision}",
        f"every gradient agrees with backpropagation in float64 to within the rounding of {_precision}",
        ProblemRequirements(precision=_precision, training=True, max_steps=MAX_STEPS),
    )(_agrees)


@checks.add(
    "changing-shapes",
    "one instance takes any sequence length and batch size, whatever those of earlier calls",
    ProblemRequirements(min_steps=2),
)
def _changing_shapes(run: CheckRun, problem: Problem) -> None:
    short = problem.first_rows_and_steps(problem.batch, problem.steps // 2)
    fewer_rows = problem.first_rows_and_steps(max(1, problem.batch - 1), problem.steps)
    problems = [short, fewer_rows, problem, short]
    for one, results in zip(problems, run.calls(problems).results, strict=True):
        alone = run.call(one).tensors()
        run.require_same(one, results.tensors(), alone, "the only call of an instance")
