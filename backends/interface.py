"""The interface that every LSTM backend implements, and what a backend may promise.

The smallest backend is a class with `capabilities`, `__init__` and `forward`:

    class MyLSTM(LSTMBackend):
        capabilities = Capabilities()                      # float32, one layer, one direction, on the CPU

        def __init__(self, spec, weights):
            self.w = weights.layers[0][0]

        def forward(self, x, state, lengths=None, training=False):
            ...
            return y, LSTMState(h_n, c_n)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from .problem import STORAGE, Array, LSTMGradients, LSTMSpec, LSTMState, LSTMWeights


class UnsupportedError(Exception):
    """The backend does not compute this problem; `reason` says what it does not support."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnavailableError(Exception):
    """The backend cannot run on this machine; `reason` says why, `hint` how to install it."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(f"{reason}; {hint}" if hint else reason)
        self.reason = reason
        self.hint = hint

    def __reduce__(self) -> tuple[type[UnavailableError], tuple[str, str]]:
        return type(self), (self.reason, self.hint)


MAX_ACTIVATION_ULPS = 2**17
"""An absolute error of 2^-7; the coarsest hardware tanh has an error of 2^-11 (PTX ISA, tanh.approx.f32)."""


FLAGS = ("bidirectional", "projection", "peephole", "no_bias", "lengths", "zero_lengths", "gradients", "deterministic")
"""The fields of Capabilities that are True or False."""


@dataclass(frozen=True)
class Capabilities:
    """What a backend promises. A promise that is not kept is a failure; what is not promised is skipped.

    Raises ValueError, naming the field and its value, for a value that is not one of those below.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    """Where its arrays are."""
    precisions: frozenset[str] = frozenset({"float32"})
    """Any of "float64", "float32", "tf32", "float16", "bfloat16"."""
    num_layers: int | None = 1
    """The largest number of layers; None means any."""
    bidirectional: bool = False
    projection: bool = False
    peephole: bool = False
    no_bias: bool = False
    """bias=False."""
    lengths: bool = False
    """Sequences of different lengths in one batch."""
    zero_lengths: bool = False
    """Rows of length 0 in `lengths`."""
    gradients: bool = False
    """`backward`."""
    deterministic: bool = True
    """The same call gives the same bits."""
    max_hidden_size: int | None = None
    """None means any."""
    activation_ulps: float = 4
    """Absolute error of sigmoid and tanh, in units of the roundoff of the arithmetic (2^-53 in float64, 2^-24 in all others);
    at most MAX_ACTIVATION_ULPS.
    """

    def __post_init__(self) -> None:
        if self.device not in ("cpu", "cuda"):
            raise ValueError(f'device must be "cpu" or "cuda", not {self.device!r}')
        if not isinstance(self.precisions, (frozenset, set)) or not self.precisions or not self.precisions <= STORAGE.keys():
            raise ValueError(f"precisions must be a set with some of {', '.join(STORAGE)}, not {self.precisions!r}")
        object.__setattr__(self, "precisions", frozenset(self.precisions))
        for name in ("num_layers", "max_hidden_size"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be None or an integer of at least 1, not {value!r}")
        for name in FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, not {getattr(self, name)!r}")
        ulps = self.activation_ulps
        if isinstance(ulps, bool) or not isinstance(ulps, (int, float)) or not 0 <= ulps <= MAX_ACTIVATION_ULPS:
            raise ValueError(f"activation_ulps must be a number from 0 to {MAX_ACTIVATION_ULPS}, not {ulps!r}")

    def why_unsupported(
        self, spec: LSTMSpec, *, lengths: bool = False, zero_lengths: bool = False, gradients: bool = False
    ) -> str | None:
        """Names the first promise that the problem needs and the backend does not make; None if it makes all."""
        layers = self.num_layers if self.num_layers is not None else spec.num_layers
        width = self.max_hidden_size if self.max_hidden_size is not None else spec.hidden_size
        needs = (
            (spec.precision not in self.precisions, f"precision {spec.precision}"),
            (spec.num_layers > layers, f"more than {layers} layer{'s' * (layers != 1)}"),
            (spec.bidirectional and not self.bidirectional, "bidirectional"),
            (spec.proj_size > 0 and not self.projection, "projection"),
            (spec.peephole and not self.peephole, "peepholes"),
            (not spec.bias and not self.no_bias, "bias=False"),
            (spec.hidden_size > width, f"a hidden size above {width}"),
            (lengths and not self.lengths, "sequences of different lengths"),
            (zero_lengths and not self.zero_lengths, "sequences of length 0"),
            (gradients and not self.gradients, "gradients"),
        )
        return next((f"not promised: {what}" for missing, what in needs if missing), None)


class LSTMBackend(ABC):
    """One way to compute an LSTM: constructed for one spec and one set of weights, then called any number of times.

    Every array that `forward` and `backward` take or return (lengths aside) is one that `to_device` gives, in the storage
    dtype. Inputs may be strided and read-only. A backend never writes into what it is given, and what it returned is never
    changed by a later call. CUDA work goes to CuPy's or torch's current stream.
    """

    capabilities: ClassVar[Capabilities]

    @classmethod
    def unavailable(cls) -> str | None:
        """Why this backend cannot run on this machine; None if it can."""
        return None

    @abstractmethod
    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        """Pack and upload the weights. Raises ValueError, naming the wrong field and its shape."""

    @abstractmethod
    def forward(self, x: Any, state: LSTMState, lengths: Array | None = None, training: bool = False) -> tuple[Any, LSTMState]:
        """Run the LSTM.

        x [T, B, I], state.h [L*D, B, R], state.c [L*D, B, H]; lengths: int64 host array [B] with values in 0..T, or None.
        Returns y [T, B, D*R] and the final state, each row's taken at its last valid step (first, for the reverse
        direction). Past a row's length y is 0 and x is never read. training=True keeps what `backward` needs.
        """

    def backward(self, grad_y: Any, grad_state: LSTMState) -> LSTMGradients:
        """Gradients of sum(y * grad_y) + sum(h_n * grad_state.h) + sum(c_n * grad_state.c), for the last training forward.

        grad_y [T, B, D*R]; grad_state shaped like the state. May be called once after each `forward(training=True)`, whose x
        and state the caller leaves alone until then. Gradients are fresh, never accumulated. Raises UnsupportedError where
        gradients are not promised, RuntimeError where no training forward came before.
        """
        raise UnsupportedError("not promised: gradients")

    def to_device(self, array: Array) -> Any:
        """The host array as this backend's kind of array. Default: the array itself."""
        return array

    def to_host(self, array: Any) -> Array:
        """The backend's array as a NumPy array. Default: numpy.asarray."""
        return np.asarray(array)

    def remark(self) -> str:
        """How the last call was computed, for whoever reads its time: a few words, such as the plan. Default: nothing."""
        return ""

    def synchronize(self) -> None:  # noqa: B027  calls that return when the work is done have nothing to wait for
        """Wait until the work of every earlier call is done. Default: nothing."""

    def close(self) -> None:  # noqa: B027
        """Release what the backend holds. Default: nothing."""
