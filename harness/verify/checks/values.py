"""Are the numbers right? Results against the equations, in each precision."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from lstm_parity.backends.problem import STORAGE

from ...problems.requirements import ProblemRequirements
from ...problems.strategies import BORDERS, LONG
from ..check import Check
from ..isolation.execute import tensors_of
from ..trial import Trial

MOST_STEPS = BORDERS[-1]


def _form(trial: Trial) -> None:
    if trial.capabilities.gradients:  # every other one, so that a missing backward shows at once
        trial.requirements = replace(trial.requirements, training=trial.draw(st.booleans()))
    trial.run(trial.problem())


def _agrees(trial: Trial) -> None:
    problem = trial.problem()
    trial.agrees(problem, trial.run(problem))


def _changing_shapes(trial: Trial) -> None:
    long = trial.problem()
    short = long.first_rows_and_steps(long.batch, long.steps // 2)
    fewer_rows = long.first_rows_and_steps(max(1, long.batch - 1), long.steps)
    problems = [short, fewer_rows, long, short]
    for problem, results in zip(problems, trial.run_all(problems).results, strict=True):
        alone = tensors_of(trial.run(problem))
        trial.same(problem, tensors_of(results), alone, "the run of an instance that was called with nothing else")


CHECKS = (
    Check(
        "form", "forward returns (y, LSTMState(h_n, c_n)), arrays of the promised kind, shape and dtype", _form, sensitive_to=()
    ),
    *(
        Check(
            f"forward-{precision}",
            f"the result of one layer satisfies the equations to within the rounding of {precision}",
            _agrees,
            ProblemRequirements(precision=precision, several_layers=False, training=False, max_steps=LONG[-1]),
            cost=0.25,
        )
        for precision in STORAGE
    ),
    *(
        Check(name, f"{claim} the equations", _agrees, requirements)
        for name, claim, requirements in (
            (
                "stack",
                "the results of several layers satisfy",
                ProblemRequirements(several_layers=True, training=False, max_steps=MOST_STEPS),
            ),
            ("bidirectional", "the results of both directions satisfy", ProblemRequirements(bidirectional=True)),
            ("lengths", "the results of rows of different lengths satisfy", ProblemRequirements(lengths=True)),
            (
                "projection",
                "the results of an LSTM with projection satisfy",
                ProblemRequirements(projection=True, min_hidden=2),
            ),
            ("peepholes", "the results of an LSTM with peepholes satisfy", ProblemRequirements(peephole=True)),
            ("no-bias", "the results of an LSTM without biases satisfy", ProblemRequirements(bias=False)),
        )
    ),
    *(
        Check(
            f"gradients-{precision}",
            f"every gradient agrees with backpropagation in float64 to within the rounding of {precision}",
            _agrees,
            ProblemRequirements(precision=precision, training=True, max_steps=MOST_STEPS),
        )
        for precision in STORAGE
    ),
    Check(
        "changing-shapes",
        "one instance takes any sequence length and batch size, whatever it was called with before",
        _changing_shapes,
        ProblemRequirements(min_steps=2),
    ),
)
