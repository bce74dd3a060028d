"""Right backends of other designs: they must pass every check."""

import numpy as np
import pytest

from lstm_parity.backends import Capabilities, LSTMBackend, LSTMState
from lstm_parity.harness.verify.checks import CHECKS
from lstm_parity.harness.verify.isolation import steady
from lstm_parity.harness.verify.isolation.local import LocalExecutor
from lstm_parity.harness.verify.results import Options, verdict_of
from lstm_parity.harness.verify.search import search
from lstm_parity.harness.verify.suite import run_check

pytestmark = pytest.mark.deep

SEED = 5


def verdict(backend, examples=1):
    """The verdict, and the checks that are not PASS or SKIP: with seed SEED the same problems are drawn again."""
    options = Options(examples=examples, seed=SEED, shrink=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steady, "CALLS", 500)
        results = [run_check(check, "outsider", LocalExecutor(backend), backend.capabilities, options) for check in CHECKS]
    return verdict_of(results), [f"{r.check}: {r.status} {r.reason}" for r in results if r.status not in ("PASS", "SKIP")]


def logistic(z):
    return 1 / (1 + np.exp(-np.maximum(z, -80)))


class Directions(LSTMBackend):
    """One layer; the reverse direction is the forward one on reversed x."""

    capabilities = Capabilities(bidirectional=True)
    sigmoid = staticmethod(logistic)
    tanh = staticmethod(np.tanh)

    def __init__(self, spec, weights):
        if spec.hidden_size > (self.capabilities.max_hidden_size or spec.hidden_size):
            raise ValueError(f"hidden_size is {spec.hidden_size}, above {self.capabilities.max_hidden_size}")
        self.directions = weights.layers[0]

    def sums(self, w, x, h):
        return x @ w.w_ih.T + (h @ w.w_hh.T + (w.b_ih + w.b_hh))

    def one_way(self, w, x, h, c):
        y = []
        for now in x:
            i, f, g, o = np.split(self.sums(w, now, h), 4, axis=1)
            c = (self.sigmoid(f) * c + self.sigmoid(i) * self.tanh(g)).astype(x.dtype)
            h = (self.sigmoid(o) * self.tanh(c)).astype(x.dtype)
            y.append(h)
        return np.stack(y), h, c

    def forward(self, x, state, lengths=None, training=False):
        with np.errstate(all="ignore"):
            found = [self.one_way(w, x[:: 1 - 2 * d], state.h[d], state.c[d]) for d, w in enumerate(self.directions)]
        y = np.concatenate([ys[:: 1 - 2 * d] for d, (ys, _, _) in enumerate(found)], axis=2)
        return y, LSTMState(np.stack([h for _, h, _ in found]), np.stack([c for _, _, c in found]))


class Handle:
    """An array of a device that has no views and can only be copied back."""

    def __init__(self, array):
        self.array = np.array(array, order="C")


class WithDeviceArrays(Directions):
    def to_device(self, array):
        return Handle(array)

    def to_host(self, array):
        return array.array.copy()

    def forward(self, x, state, lengths=None, training=False):
        y, last = super().forward(x.array, LSTMState(state.h.array, state.c.array))
        return Handle(y), LSTMState(Handle(last.h), Handle(last.c))


class OfOneUnit(Directions):
    capabilities = Capabilities(bidirectional=True, max_hidden_size=1)


class Guarded(Directions):
    """Sums are clamped before the exponential, NaN to 0 and infinities to large numbers: the result of a row of NaN is
    finite."""

    def sums(self, w, x, h):
        finite = [np.nan_to_num(a, posinf=1e30, neginf=-1e30) for a in (x, h)]
        return np.clip(np.nan_to_num(super().sums(w, *finite)), -30, 30)


class FlushingToZero(Directions):
    """Subnormal operands, products and sums are 0."""

    @staticmethod
    def flushed(array):
        return np.where(np.abs(array) < np.finfo(np.float32).tiny, np.float32(0), array)

    def sums(self, w, x, h):
        total = self.flushed(w.b_ih) + self.flushed(w.b_hh)
        for a, matrix in ((x, w.w_ih), (h, w.w_hh)):
            for k in range(a.shape[1]):
                product = np.multiply.outer(self.flushed(a[:, k]), self.flushed(matrix[:, k]))
                total = self.flushed(total + self.flushed(product))
        return total


class Tabled(Directions):
    """tanh from a table with a maximum error of 0.006; sigmoid from tanh."""

    capabilities = Capabilities(bidirectional=True, activation_ulps=1e5)
    table = np.linspace(-6, 6, 81)

    @classmethod
    def tanh(cls, z):
        return np.interp(z, cls.table, np.tanh(cls.table))

    @classmethod
    def sigmoid(cls, z):
        return 0.5 + 0.5 * cls.tanh(z / 2)


class Overshooting(Directions):
    """Every activation has nearly the maximum allowed positive error: c grows exponentially with f = 1 and i = 0."""

    capabilities = Capabilities(activation_ulps=1e4)

    @staticmethod
    def sigmoid(z):
        return logistic(np.asarray(z, np.float64)) + 9.9e3 * 2.0**-24

    @staticmethod
    def tanh(z):
        return np.tanh(np.asarray(z, np.float64)) + 9.9e3 * 2.0**-24


@pytest.mark.parametrize("backend", [WithDeviceArrays, OfOneUnit, Guarded, FlushingToZero, Tabled, Overshooting])
def test_right_ones_pass_every_check(backend):
    assert verdict(backend) == ("PASS", [])


class ReverseReadsForward(Directions):
    """Its reverse direction reads forward."""

    def forward(self, x, state, lengths=None, training=False):
        y, h, c = zip(*(self.one_way(w, x, state.h[d], state.c[d]) for d, w in enumerate(self.directions)), strict=True)
        return np.concatenate(y, axis=2), LSTMState(np.stack(h), np.stack(c))


class Forgetting(Directions):
    """The forget gate is at most 1 - 2e-6, so c decays."""

    @staticmethod
    def sigmoid(z):
        return np.minimum(logistic(z), np.float32(1 - 2e-6))


@pytest.mark.parametrize(
    ("backend", "name"), [(ReverseReadsForward, "lecture-teddy-both-ways"), (Forgetting, "lecture-long-periods")]
)
def test_the_lectures_examples_find_their_faults(backend, name):
    check = next(check for check in CHECKS if check.name == name)
    executor = LocalExecutor(backend)
    found = search(check, executor, backend.capabilities, examples=1, seed_value=SEED, shrink=False)
    assert found.failure is not None
    assert found.failure.kind == "wrong"


def ops_of_onnx(gates):
    """Gates i, f, g, o in ONNX's order."""
    i, f, g, o = np.split(gates, 4)
    return np.concatenate([i, o, f, g])


class InOnnxRuntime(LSTMBackend):
    """ONNX Runtime's own operator, one node a layer."""

    capabilities = Capabilities(num_layers=None, bidirectional=True, peephole=True, no_bias=True, lengths=True)

    def __init__(self, spec, weights):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.directions = spec.num_directions
        models = [self.model(spec, layer, spec.layer_input_size(l)) for l, layer in enumerate(weights.layers)]
        providers = ["CPUExecutionProvider"]
        self.layers = [onnxruntime.InferenceSession(model, options, providers=providers) for model in models]

    @staticmethod
    def model(spec, layer, width):
        from onnx import TensorProto, helper, numpy_helper

        tensors = {"W": [ops_of_onnx(w.w_ih) for w in layer], "R": [ops_of_onnx(w.w_hh) for w in layer]}
        if spec.bias:
            tensors["B"] = [np.concatenate([ops_of_onnx(w.b_ih), ops_of_onnx(w.b_hh)]) for w in layer]
        if spec.peephole:
            tensors["P"] = [w.peephole[[0, 2, 1]].reshape(-1) for w in layer]
        names = ["x", "W", "R", "B" if spec.bias else "", "lengths", "h0", "c0", "P" if spec.peephole else ""]
        way = "bidirectional" if spec.bidirectional else "forward"
        node = helper.make_node("LSTM", names, ["y", "h_n", "c_n"], hidden_size=spec.hidden_size, direction=way)
        state = [spec.num_directions, "B", spec.hidden_size]
        shapes = {"x": ["T", "B", width], "lengths": ["B"], "h0": state, "c0": state}
        given = [
            helper.make_tensor_value_info(n, TensorProto.INT32 if n == "lengths" else TensorProto.FLOAT, shape)
            for n, shape in shapes.items()
        ]
        back = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("y", "h_n", "c_n")]
        held = [numpy_helper.from_array(np.stack(arrays), n) for n, arrays in tensors.items()]
        graph = helper.make_graph([node], "lstm", given, back, held)
        opset = [helper.make_opsetid("", 14)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()

    def forward(self, x, state, lengths=None, training=False):
        steps, batch, _ = x.shape
        count = np.full(batch, steps) if lengths is None else lengths
        # the operator also multiplies the padding
        y = np.where((np.arange(steps)[:, None] < count)[..., None], x, np.float32(0))
        h_n, c_n = [], []
        for l, layer in enumerate(self.layers):
            part = slice(l * self.directions, (l + 1) * self.directions)
            h0, c0 = np.ascontiguousarray(state.h[part]), np.ascontiguousarray(state.c[part])
            y, h, c = layer.run(None, {"x": y, "lengths": count.astype(np.int32), "h0": h0, "c0": c0})
            y = y.transpose(0, 2, 1, 3).reshape(steps, batch, -1)  # it gives [T, D, B, H]
            h_n.append(h)
            c_n.append(c)
        return y, LSTMState(np.concatenate(h_n), np.concatenate(c_n))


def test_onnx_runtime_passes():
    pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    assert verdict(InOnnxRuntime) == ("PASS", [])
    audit = next(check for check in CHECKS if check.name == "precision-float32")
    found = search(audit, LocalExecutor(InOnnxRuntime), InOnnxRuntime.capabilities, examples=6, seed_value=7, shrink=False)
    assert found.failure is None, found.failure.reason
    assert found.examples == 6
