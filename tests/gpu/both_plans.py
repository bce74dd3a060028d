"""The program that compute-sanitizer runs: both plans, forward and backward, in one precision. Exit code 1: a wrong result.

    python both_plans.py PRECISION [own-products]

Each instance makes three calls: the stepwise plan records the second as a graph and replays it in the third. With
`own-products` the matrix products are made by this project's kernel in place of cuBLAS.
"""

import sys

import cupy
import numpy as np

from lstm_parity.backends import LSTMSpec
from lstm_parity.backends.cupy_raw.forced import Persistent, Stepwise
from lstm_parity.backends.cupy_raw.gpu.machine import GPUMachine
from lstm_parity.backends.cupy_raw.plan.launch import gemm_launch
from lstm_parity.harness.oracle.agreement import Expected
from lstm_parity.harness.problems.regimes import draw_problem
from lstm_parity.harness.verify.isolation.execute import execute
from lstm_parity.harness.verify.program import Program

STEPS, BATCH = 4, 9  # tensor cores are used from 8 rows on
FEATURES = ({"peephole": True}, {"num_layers": 2, "bidirectional": True, "proj_size": 5, "bias": False})


def own_product(self, a, b, out, *, accumulate=False):
    """See Machine.gemm."""
    strides = (*(s // a.itemsize for s in (*a.strides, *b.strides)), out.strides[0] // out.itemsize)
    launch = gemm_launch(len(a), len(b), out.itemsize)
    self.launch(launch, (a, b, out, len(a), len(b), a.shape[1], *strides, int(accumulate)))


def main():
    precision = sys.argv[1]
    if "own-products" in sys.argv:
        GPUMachine.gemm = own_product
    cupy.cuda.set_allocator(None)  # an allocation for each array: within CuPy's pool no access is out of bounds
    wrong, lengths = 0, np.arange(BATCH) % (STEPS + 1)
    for features in FEATURES:
        problem = draw_problem(
            LSTMSpec(8, 24, precision=precision, **features), STEPS, BATCH, 0, lengths=lengths, training=True
        )
        expected = Expected(problem.spec, problem.weights, problem.inputs)
        for backend in (Persistent, Stepwise):
            ran = execute(backend, Program(((problem.spec, problem.weights),), ((0, problem.inputs),) * 3))
            for number, results in enumerate(ran.results, 1):
                judgement = expected.judge(results)
                if not judgement.agrees:
                    wrong += 1
                    sys.stderr.write(f"{backend.__name__} {precision} {features} call {number}: {judgement.reason}\n")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
