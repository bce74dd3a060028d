"""cupy-raw's GPU half on a double of CuPy, the driver and cuBLAS (gpu_double.py): what it asks of them, and in which order.

No claim about a GPU: what a device does is tested in tests/gpu/, where there is one.
"""

import gc

import numpy as np
import pytest

from lstm_parity.backends import LSTMSpec, UnsupportedError
from lstm_parity.backends.cupy_raw.backend import CuPyRawLSTM
from lstm_parity.backends.cupy_raw.forced import Persistent, Stepwise
from lstm_parity.backends.cupy_raw.gpu.cublas import CublasError
from lstm_parity.backends.cupy_raw.gpu.machine import MAX_GRAPHS, GPUMachine
from lstm_parity.backends.cupy_raw.machine import LaunchError, OutOfMemoryError, Recording
from lstm_parity.harness.oracle.agreement import Expected
from lstm_parity.harness.oracle.results import Results
from lstm_parity.harness.problems.regimes import draw_problem
from lstm_parity.harness.verify.checks import CHECKS
from lstm_parity.harness.verify.isolation.execute import execute
from lstm_parity.harness.verify.isolation.local import LocalExecutor
from lstm_parity.harness.verify.program import Program
from lstm_parity.harness.worker.calls import HostReader, call, upload

pytestmark = pytest.mark.deep

PRECISIONS = ("float64", "float32", "tf32", "float16", "bfloat16")
RAGGED = np.array([3, 0, 4, 1, 4, 2, 3, 4, 4])
CASES = {
    "inference": ({}, None, False),
    "training": ({"peephole": True}, None, True),
    "ragged": ({"bidirectional": True, "bias": False}, RAGGED, True),
    "stacked": ({"num_layers": 2, "bidirectional": True, "proj_size": 5}, RAGGED, True),
}


def draw(features, lengths=None, training=False, *, steps=4, batch=9, seed=0, precision="float32"):
    spec = LSTMSpec(6, 13, precision=precision, **features)
    return draw_problem(spec, steps, batch, seed, lengths=lengths, training=training)


def calls_of(problem, count):
    """Inputs like the problem's, other values each time."""
    sizes, lengths = problem.inputs.x.shape[:2], problem.inputs.lengths
    drawn = (draw_problem(problem.spec, *sizes, k, lengths=lengths, training=problem.training) for k in range(count))
    return [one.inputs for one in drawn]


def run(lstm, problem, inputs=None):
    """A call from host arrays to host arrays."""
    inputs = inputs or problem.inputs
    return read(lstm, problem, call(lstm, upload(lstm, inputs), inputs.grad_y is not None))


def read(lstm, problem, output):
    found = HostReader(lstm, problem.spec).read(output, *output.y.shape[:2])
    return Results(found.y, found.state.h, found.state.c, found.gradients)


def arrays_of(arguments):
    x, state, _, *back = arguments
    return [x, state.h, state.c, *([back[0], back[1].h, back[1].c] if back else [])]


def assert_agrees(problem, inputs, results):
    judgement = Expected(problem.spec, problem.weights, inputs).judge(results)
    assert judgement.agrees, judgement.reason


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backend", [Persistent, Stepwise])
def test_calls_that_repeat_agree(gpu, backend, case, precision):
    """Four calls of one instance, of which the stepwise plan records the second, and replays it on other values."""
    features, lengths, training = CASES[case]
    problem = draw(features, lengths, training, precision=precision)
    inputs = calls_of(problem, 4)
    program = Program(((problem.spec, problem.weights),), tuple((0, one) for one in inputs), layout="strided")
    ran = execute(backend, program)
    assert not ran.changes
    for one, results in zip(inputs, ran.results, strict=True):
        assert_agrees(problem, one, results)
    replayed = [graph for graph in gpu.graphs if graph.launches == 3]
    assert len(replayed) >= (problem.spec.num_layers if backend is Stepwise else 0)
    assert not any(graph.allocated for graph in gpu.graphs)
    assert not gpu.graphs or backend is Stepwise


def test_backward_is_replayed_too(gpu):
    """Its arrays take turns in a few places."""
    problem, calls = draw({"num_layers": 2}, None, True), 12
    lstm = Stepwise(problem.spec, problem.weights)
    for inputs in calls_of(problem, calls):
        assert_agrees(problem, inputs, run(lstm, problem, inputs))
    of_forward, *of_backward = sorted((graph.launches for graph in gpu.graphs), reverse=True)
    assert of_forward == of_backward.pop(0) == calls - 1
    assert sum(of_backward) > calls


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("backend", [Persistent, Stepwise])
def test_property_suite(make_gpu, backend, check, holds):
    # shared memory for every drawn problem to fit the persistent plan; accesses are checked by the suite on the emulator
    make_gpu(shared_bytes=8 << 20, detect=False)
    holds(check, backend.__name__, LocalExecutor(backend), backend.capabilities, examples=2)


@pytest.mark.parametrize("backend", [Persistent, Stepwise])
def test_what_is_returned_stays_as_it_is(gpu, backend):
    problem = draw({"num_layers": 2}, RAGGED, True)
    calls = tuple((0, one) for one in calls_of(problem, 4))
    assert not execute(backend, Program(((problem.spec, problem.weights),), calls, keep=True)).changes


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_recorded_call_has_the_same_bits(gpu, precision):
    problem = draw({"bidirectional": True}, RAGGED, True, precision=precision)
    ran = execute(Stepwise, Program(((problem.spec, problem.weights),), ((0, problem.inputs),) * 3))
    first, *later = [{name: a.tobytes() for name, a in results.tensors().items()} for results in ran.results]
    assert gpu.graphs
    assert all(bits == first for bits in later)


@pytest.mark.parametrize("backend", [Persistent, Stepwise])
def test_calls_of_changing_sizes_agree(gpu, backend):
    first = draw({"bidirectional": True}, None, True)
    sizes = ((4, 9), (4, 9), (2, 9), (4, 3), (4, 3), (4, 3), (1, 1), (4, 9))
    drawn = [draw_problem(first.spec, *size, seed, training=seed % 3 > 0) for seed, size in enumerate(sizes)]
    calls = tuple((0, problem.inputs) for problem in drawn)
    ran = execute(backend, Program(((first.spec, first.weights),), calls))
    assert not ran.changes
    for problem, results in zip(drawn, ran.results, strict=True):
        assert_agrees(first, problem.inputs, results)


@pytest.mark.parametrize("backend", [Persistent, Stepwise])
def test_work_goes_to_the_stream_that_is_current(gpu, backend):
    """And a whole call can be recorded on it, as the harness does for `launch = "graph"`."""
    problem = draw({"num_layers": 2, "bidirectional": True}, None, True)
    first, second = calls_of(problem, 2)
    lstm = backend(problem.spec, problem.weights)
    arguments = upload(lstm, first)
    with gpu.cupy.cuda.Stream(non_blocking=True) as stream:
        call(lstm, arguments, True)
        stream.begin_capture()
        output = call(lstm, arguments, True)
        graph = stream.end_capture()
    assert gpu.graphs == [graph], "nothing is recorded within a recording"
    for old, new in zip(arrays_of(arguments), arrays_of(upload(lstm, second)), strict=True):
        old[...] = new
    graph.launch(gpu.current[-1])
    assert_agrees(problem, second, read(lstm, problem, output))


def test_lengths_that_differ_cannot_be_recorded(gpu):
    problem = draw({}, RAGGED)
    lstm = CuPyRawLSTM(problem.spec, problem.weights)
    arguments = upload(lstm, problem.inputs)
    with gpu.cupy.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        with pytest.raises(UnsupportedError, match="the lengths are the host's"):
            call(lstm, arguments, False)


@pytest.mark.parametrize(
    ("backend", "kernel"),
    [
        (Persistent, "persistent_forward"),
        (Persistent, "persistent_backward"),
        (Stepwise, "cells_forward"),
        (Stepwise, "narrow"),
    ],
)
def test_a_launch_that_the_driver_refuses_is_an_error(gpu, backend, kernel):
    problem = draw({}, None, True)
    gpu.refused[kernel] = "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES: too many resources requested for launch"
    lstm = backend(problem.spec, problem.weights)
    said = rf"a double of a GPU refuses {kernel}: CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES: .* bytes of shared memory .* 40 registers"
    with pytest.raises(LaunchError, match=said):
        run(lstm, problem)
    gpu.refused.clear()
    inputs = calls_of(problem, 2)[1]
    assert_agrees(problem, inputs, run(lstm, problem, inputs))


def test_a_launch_that_is_refused_while_it_is_recorded_is_an_error(gpu):
    problem = draw({})
    lstm = Stepwise(problem.spec, problem.weights)
    run(lstm, problem)
    gpu.refused["cells_forward"] = "CUDA_ERROR_INVALID_VALUE: invalid argument"
    with pytest.raises(LaunchError, match="refuses cells_forward: CUDA_ERROR_INVALID_VALUE"):
        run(lstm, problem)
    assert not any(stream.is_capturing() for stream in gpu.streams)


def test_a_device_that_answers_no_question_any_more_is_an_error_too(gpu):
    problem = draw({})
    gpu.refused["persistent_forward"] = "CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered"
    gpu.broken = True
    lstm = Persistent(problem.spec, problem.weights)
    with pytest.raises(LaunchError, match=r"CUDA_ERROR_ILLEGAL_ADDRESS: .* an unknown number of registers"):
        run(lstm, problem)


def test_blocks_that_would_wait_for_others_for_ever_are_not_launched(gpu):
    """CuPy cuts a cooperative grid down to what is resident; the blocks that are left would wait for the others."""
    problem = draw({})
    gpu.resident = 0
    lstm = Persistent(problem.spec, problem.weights)
    with pytest.raises(
        LaunchError, match=r"persistent_forward: 0 blocks are resident at most; it asks for .* all blocks resident"
    ):
        run(lstm, problem)


@pytest.mark.parametrize("properties", [{"cooperative": 0}, {"shared_bytes": 1 << 10}])
def test_a_device_that_cannot_run_the_persistent_plan_gets_the_other(make_gpu, properties):
    make_gpu(**properties)
    problem = draw({}, None, True)
    lstm = CuPyRawLSTM(problem.spec, problem.weights)
    assert_agrees(problem, problem.inputs, run(lstm, problem))
    assert lstm.remark().startswith("forward stepwise: ")
    assert "; backward stepwise: " in lstm.remark()


def test_more_shared_memory_than_a_block_has_unasked_is_asked_for(gpu):
    problem = draw_problem(LSTMSpec(3, 256, precision="float32"), 2, 2, 0)
    lstm = Persistent(problem.spec, problem.weights)
    assert_agrees(problem, problem.inputs, run(lstm, problem))
    (launch,) = lstm._lstm.plans[0].launches
    assert launch.shared_bytes > 48 << 10


@pytest.mark.parametrize("backend", [Persistent, Stepwise])
def test_memory_that_does_not_suffice_is_reported_before_anything_is_allocated(gpu, backend):
    problem = draw_problem(LSTMSpec(64, 64), 20, 64, 0, training=True)
    lstm = backend(problem.spec, problem.weights)
    arguments = upload(lstm, problem.inputs)
    gpu.free, gpu.pooled, before = 1 << 20, 1 << 20, gpu.allocations
    with pytest.raises(OutOfMemoryError, match=r"needs \d+ MiB, and 2 MiB of a double of a GPU's memory are free"):
        call(lstm, arguments, True)
    assert gpu.allocations == before
    gpu.pooled = 1 << 30
    call(lstm, arguments, True)


def test_nothing_is_left_on_the_device(gpu):
    problem = draw({"num_layers": 2}, RAGGED, True)
    execute(Stepwise, Program(((problem.spec, problem.weights),), ((0, problem.inputs),) * 3))
    gpu.graphs.clear()
    gc.collect()
    assert not gpu.live


def test_a_product_that_cublas_refuses_is_an_error(gpu, monkeypatch):
    problem = draw({})
    monkeypatch.setattr(gpu.cublas, "cublasGemmEx", lambda *_: 13)
    lstm = CuPyRawLSTM(problem.spec, problem.weights)
    with pytest.raises(CublasError, match=r"status 13 for \[36, 6\] x \[6, 52\] in float32"):
        run(lstm, problem)


def test_bfloat16_is_its_bits_on_the_device_and_itself_on_the_host(gpu):
    problem = draw({}, precision="bfloat16")
    lstm = CuPyRawLSTM(problem.spec, problem.weights)
    array = lstm.to_device(problem.inputs.x)
    assert array.dtype == np.uint16
    assert lstm.to_host(array).dtype == problem.spec.dtype
    assert lstm.to_host(array).tobytes() == problem.inputs.x.tobytes()
    with pytest.raises(ValueError, match="x has dtype float32, expected uint16"):
        lstm.forward(gpu.cupy.empty(array.shape, np.float32), problem.inputs.state)


def part(gpu, whole, key, dtype):
    """A part of a device array with those values, and the same part of the host array."""
    host = np.asarray(whole, dtype)
    return gpu.cupy.asarray(host)[key], host[key]


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("kind_of_b", ["rows", "columns"])
@pytest.mark.parametrize("kind_of_a", ["rows", "columns"])
@pytest.mark.parametrize(("m", "n", "k"), [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 5), (1, 1, 1)])
def test_products_of_parts_of_larger_matrices(gpu, m, n, k, kind_of_a, kind_of_b, accumulate):
    machine, rng = GPUMachine("float64"), np.random.default_rng(0)

    def operand(kind, rows):
        whole = rng.integers(-9, 9, (rows + 2, k + 3) if kind == "rows" else (k + 3, rows + 2))
        device, host = part(gpu, whole, np.s_[2:, 1:-2] if kind == "rows" else np.s_[1:-2, 2:], np.float64)
        return (device, host) if kind == "rows" else (device.T, host.T)

    (a, a_host), (b, b_host) = operand(kind_of_a, m), operand(kind_of_b, n)
    out, before = part(gpu, rng.integers(-9, 9, (m, n + 2)), np.s_[:, :n], np.float64)
    machine.gemm(a, b, out, accumulate=accumulate)
    np.testing.assert_array_equal(gpu.cupy.asnumpy(out), a_host @ b_host.T + (before if accumulate else 0))


def test_a_matrix_with_gaps_in_rows_and_columns_is_no_operand(gpu):
    machine = GPUMachine("float64")
    gappy, plain = gpu.cupy.empty((6, 6), np.float64)[::2, ::2], gpu.cupy.empty((3, 3), np.float64)
    with pytest.raises(ValueError, match=r"neither the rows nor the columns of a \[3, 3\] matrix are contiguous"):
        machine.gemm(gappy, plain, plain)


@pytest.mark.parametrize("backend", [Persistent, Stepwise])
def test_arguments_at_any_address(gpu, backend):
    """Contiguous, but not at a multiple of the 16 bytes that the kernels copy at once."""
    problem = draw_problem(LSTMSpec(8, 16), 4, 8, 0, training=True)
    lstm = backend(problem.spec, problem.weights)

    def put(host):
        return gpu.cupy.asarray(np.append(host[:1, :1, :1], host))[1:].reshape(host.shape)

    arguments = upload(lstm, problem.inputs, put)
    assert all(array.data.ptr % 16 == 4 for array in arrays_of(arguments))
    assert_agrees(problem, problem.inputs, read(lstm, problem, call(lstm, arguments, True)))


def test_no_more_than_a_few_graphs_are_kept(gpu):
    machine, recording, done = GPUMachine("float32"), Recording(), []
    arrays = [machine.empty(3) for _ in range(MAX_GRAPHS + 2)]
    for array in (*arrays, *arrays, arrays[-1], arrays[-1]):
        machine.replay(recording, (array,), lambda: done.append(1))
    assert len(recording.graphs) == MAX_GRAPHS
    assert [graph.launches for graph in gpu.graphs] == [2]
