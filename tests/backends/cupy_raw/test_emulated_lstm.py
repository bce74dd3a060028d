"""cupy-raw-emulated: right under every schedule and plan, the same bits under all, and what it says of bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_parity.backends import LSTMSpec, LSTMState, UnsupportedError, load_backend
from lstm_parity.backends.cupy_raw.backend import EmulatedLSTM
from lstm_parity.backends.cupy_raw.emulator import machine as emulated_machine
from lstm_parity.backends.cupy_raw.emulator.emulator import Emulator
from lstm_parity.backends.cupy_raw.emulator.findings import EmulationError
from lstm_parity.backends.cupy_raw.emulator.machine import EmulatedMachine
from lstm_parity.backends.cupy_raw.emulator.schedule import KINDS, Schedule
from lstm_parity.backends.cupy_raw.forced import PersistentEmulated, StepwiseEmulated
from lstm_parity.backends.cupy_raw.lstm import RawLSTM
from lstm_parity.backends.cupy_raw.machine import OutOfMemoryError
from lstm_parity.backends.cupy_raw.plan.device import Device
from lstm_parity.backends.numpy_lstm import NumpyLSTM
from lstm_parity.harness.faults.kernels.fault import small_problem
from lstm_parity.harness.oracle.agreement import Expected
from lstm_parity.harness.oracle.results import Results
from lstm_parity.harness.problems.problem import Problem
from lstm_parity.harness.problems.regimes import draw_problem
from lstm_parity.harness.problems.requirements import ProblemRequirements
from lstm_parity.harness.problems.strategies import problems
from lstm_parity.harness.worker.emulation import emulate

if unavailable := Emulator.unavailable():
    pytest.skip(f"UNVERIFIED: {unavailable}", allow_module_level=True)

SCHEDULES = st.builds(Schedule, st.sampled_from(KINDS), st.integers(0, 2**16 - 1))
SMALL = ProblemRequirements(small=True, max_steps=6)


def call(backend: type[EmulatedLSTM], problem: Problem) -> Results:
    instance, inputs = backend(problem.spec, problem.weights), problem.inputs
    y, state = instance.forward(inputs.x, inputs.state, inputs.lengths, problem.training)
    gradients = instance.backward(inputs.grad_y, inputs.grad_state) if problem.training else None
    return Results(y, state.h, state.c, gradients)


@pytest.mark.parametrize("backend", [PersistentEmulated, StepwiseEmulated])
@given(data=st.data())
@settings(max_examples=110, deadline=None)
def test_no_schedule_shows_a_fault_or_other_bits(backend, data):
    """At least 200 schedules over both plans, all detectors on; a schedule that shows one shrinks to a simple one."""
    problem = data.draw(problems(backend.capabilities, SMALL))
    under = [data.draw(SCHEDULES), Schedule()]
    found = emulate(problem, under, backend.kernels, backend.path)
    assert found.passed, found


def test_calls_of_different_sizes_follow_each_other():
    """The stepwise plan keeps its arrays from call to call."""
    for backend in (PersistentEmulated, StepwiseEmulated):
        first = small_problem()
        instance = backend(first.spec, first.weights)
        for steps, batch in ((4, 5), (4, 5), (2, 5), (4, 9), (4, 5)):
            problem = small_problem(steps=steps, batch=batch)
            inputs = problem.inputs
            y, state = instance.forward(inputs.x, inputs.state, None, True)
            other, _ = instance.forward(inputs.x[::-1], inputs.state)  # an inference in between
            gradients = instance.backward(inputs.grad_y, inputs.grad_state)
            expected = Expected(problem.spec, first.weights, inputs)
            assert expected.judge(Results(y, state.h, state.c, gradients)).agrees
            assert other.shape == y.shape


def test_a_state_at_an_odd_address():
    """Contiguous, but not where a 16-byte copy can begin."""
    problem = small_problem(hidden=12)

    def shifted(array):
        return np.concatenate([array.ravel()[:1], array.ravel()])[1:].reshape(array.shape)

    inputs = problem.inputs
    state = LSTMState(shifted(inputs.state.h), shifted(inputs.state.c))
    assert state.h.ctypes.data % 16
    y, last = PersistentEmulated(problem.spec, problem.weights).forward(inputs.x, state)
    assert Expected(problem.spec, problem.weights, problem.inference().inputs).judge(Results(y, last.h, last.c)).agrees


@pytest.mark.parametrize("backend", [PersistentEmulated, StepwiseEmulated])
@pytest.mark.parametrize(
    ("precision", "hidden", "proj_size", "column"),
    [("float16", 60, 0, 13), ("bfloat16", 60, 0, 13), ("tf32", 52, 0, 5), ("float16", 61, 60, 13)],
)
def test_an_infinite_state_gives_nan_nowhere_else(backend, precision, hidden, proj_size, column):
    """Where K is padded for the tensor cores, 0 times what an earlier chunk left there would be NaN."""
    problem = small_problem(batch=9, hidden=hidden, proj_size=proj_size, precision=precision)
    state = problem.inputs.state
    h = np.array(state.h)
    h[:, :, column] = np.inf
    call = problem.inputs.x, LSTMState(h, state.c)
    y, last = backend(problem.spec, problem.weights).forward(*call)
    expected, expected_last = NumpyLSTM(problem.spec, problem.weights).forward(*call)
    for found, right in ((y, expected), (last.h, expected_last.h), (last.c, expected_last.c)):
        assert (np.isnan(found.astype(np.float32)) == np.isnan(right.astype(np.float32))).all()


def test_a_closed_backend_says_so():
    problem = small_problem()
    instance = EmulatedLSTM(problem.spec, problem.weights)
    instance.forward(problem.inputs.x, problem.inputs.state, training=True)
    instance.close()
    with pytest.raises(RuntimeError, match="closed"):
        instance.forward(problem.inputs.x, problem.inputs.state)
    with pytest.raises(RuntimeError, match="closed"):
        instance.backward(problem.inputs.grad_y, problem.inputs.grad_state)
    instance.close()


def test_the_remark_has_the_plan_and_its_reason():
    problem = small_problem()
    instance = EmulatedLSTM(problem.spec, problem.weights)
    assert instance.remark() == ""
    instance.forward(problem.inputs.x, problem.inputs.state)
    assert "says nothing about speed; forward persistent: U stays in shared memory for all 4 steps" in instance.remark()


def test_a_device_without_cooperative_launch_gets_the_fallback_and_the_row_says_so():
    problem = small_problem()
    inputs = problem.inputs
    small = Device("a small device", "emulated", 8, 48 * 1024, threads=64, cooperative=False)
    lstm = RawLSTM(problem.spec, problem.weights, EmulatedMachine("float32", device=small))
    y, state = lstm.forward(inputs.x, inputs.state, None, True)
    gradients = lstm.backward(inputs.grad_y, inputs.grad_state)
    assert Expected(problem.spec, problem.weights, inputs).judge(Results(y, state.h, state.c, gradients)).agrees
    assert [found.path for found in lstm.plans] == ["stepwise", "stepwise"]
    assert all("cannot keep all blocks" in found.reason for found in lstm.plans)


def test_a_plan_that_cannot_take_the_problem_is_refused_when_it_is_asked_for():
    problem = small_problem()
    small = Device("a small device", "emulated", 8, 1024, threads=64)
    lstm = RawLSTM(problem.spec, problem.weights, EmulatedMachine("float32", device=small), "persistent")
    with pytest.raises(UnsupportedError, match="a block needs more than their 1 KiB of shared memory"):
        lstm.forward(problem.inputs.x, problem.inputs.state, None, False)


def test_memory_that_does_not_suffice_is_reported_before_anything_is_allocated(monkeypatch):
    problem = small_problem()
    instance = EmulatedLSTM(problem.spec, problem.weights)
    monkeypatch.setattr(emulated_machine, "_free_bytes", lambda: emulated_machine.RESERVE_BYTES + 1000)
    monkeypatch.setattr(EmulatedMachine, "empty", lambda *_, **__: pytest.fail("something was allocated"))
    with pytest.raises(OutOfMemoryError, match=r"needs \d+ MiB, and \d+ MiB of memory are free"):
        instance.forward(problem.inputs.x, problem.inputs.state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((4, 5, 4), np.float32)}, r"x has shape \(4, 5, 4\), expected"),
        ({"x": np.zeros((4, 5, 3))}, "x has dtype float64, expected float32"),
        ({"x": np.zeros((4, 5, 3), np.float32).tolist()}, "x is a list, expected an array"),
        (
            {"state": LSTMState(np.zeros((1, 5, 13), np.float32), np.zeros((1, 4, 13), np.float32))},
            r"state.c has shape \(1, 4, 13\)",
        ),
        ({"lengths": np.array([9, 1, 1, 1, 1])}, "lengths must lie in 0..4"),
    ],
)
def test_arguments_of_a_wrong_form_never_reach_a_kernel(change, message):
    problem = small_problem()
    arguments = {"x": problem.inputs.x, "state": problem.inputs.state, "lengths": None} | change
    with pytest.raises(ValueError, match=message):
        EmulatedLSTM(problem.spec, problem.weights).forward(**arguments)


def test_gradients_of_a_wrong_form_never_reach_a_kernel():
    problem = small_problem()
    instance = EmulatedLSTM(problem.spec, problem.weights)
    instance.forward(problem.inputs.x, problem.inputs.state, training=True)
    with pytest.raises(ValueError, match=r"grad_y has shape \(3, 5, 13\), expected \(4, 5, 13\)"):
        instance.backward(problem.inputs.grad_y[1:], problem.inputs.grad_state)
    gradients = instance.backward(problem.inputs.grad_y, problem.inputs.grad_state)  # a refused call has cost nothing
    assert gradients.x.shape == problem.inputs.x.shape
    with pytest.raises(RuntimeError, match="one for each call"):
        instance.backward(problem.inputs.grad_y, problem.inputs.grad_state)


def test_a_failed_launch_is_no_result(tmp_path):
    """What the detectors find is raised: no buffer of an earlier call is taken for the answer."""
    from lstm_parity.harness.faults.kernels.catalogue import FAULTS

    fault = next(f for f in FAULTS if f.name == "publishes-too-little")
    planted = fault.plant(tmp_path)

    class Faulty(PersistentEmulated):
        kernels = planted

    with pytest.raises(EmulationError, match="deadlock"):
        call(Faulty, fault.problem())


def test_shared_memory_of_a_plan_is_what_the_kernel_carves():
    """A byte less and the kernel reaches past it, for every plan of the emulator."""
    from dataclasses import replace

    problem = small_problem(hidden=20, batch=9, precision="float16")

    class Less(EmulatedMachine):
        def launch(self, launch, arguments):
            super().launch(replace(launch, shared_bytes=max(0, launch.shared_bytes - 16)), arguments)

    lstm = RawLSTM(problem.spec, problem.weights, Less("float16", schedule=Schedule()), "persistent")
    with pytest.raises(EmulationError, match="shared memory"):
        lstm.forward(problem.inputs.x, problem.inputs.state, None, False)


def test_the_registry_knows_both():
    assert load_backend("cupy-raw-emulated") is EmulatedLSTM
    assert load_backend("cupy-raw").capabilities.device == "cuda"
    assert Path(EmulatedLSTM.kernels, "device.cuh").is_file()


def test_weights_of_another_spec_are_refused():
    problem = small_problem()
    with pytest.raises(ValueError, match=r"layers\[0\]\[0\]\.w_ih has shape"):
        EmulatedLSTM(LSTMSpec(4, 13), problem.weights)


def test_schedules_differ_from_problem_to_problem_and_from_call_to_call(monkeypatch):
    seen = []
    launch = Emulator.launch

    def watched(self, kernel, *arguments, schedule, **options):
        seen.append((kernel, schedule))
        launch(self, kernel, *arguments, schedule=schedule, **options)

    monkeypatch.setattr(Emulator, "launch", watched)
    spec = small_problem().spec
    for seed in range(10):
        problem = draw_problem(spec, 3, 5, seed)
        instance = PersistentEmulated(spec, problem.weights)
        for _ in range(2):
            instance.forward(problem.inputs.x, problem.inputs.state)
    persistent = [schedule for kernel, schedule in seen if kernel == "persistent_forward"]
    assert len(set(persistent)) == 20
    assert {schedule.kind for schedule in persistent} == set(KINDS)
