"""cupy-raw and cupy-raw-emulated: the LSTM of this project's own CUDA kernels, on a GPU and on any machine.

Both run the same code (lstm.py) over the same kernels (kernels/); they differ in who carries a launch out.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, ClassVar
from zlib import crc32

import numpy as np

from ..interface import Capabilities, LSTMBackend, UnsupportedError
from ..nvidia_driver import why_no_device
from ..problem import STORAGE, Array, LSTMGradients, LSTMSpec, LSTMState, LSTMWeights, validate_inputs
from .emulator.emulator import Emulator
from .lstm import RawLSTM
from .machine import Machine
from .plan.plan import Path
from .source import KERNELS

MOST_CHECKED_OPERATIONS = 400_000
"""Multiply-adds of a call up to which the emulator checks every access; above, it only runs the kernels."""


ALL_PROMISES = Capabilities(
    precisions=frozenset(STORAGE),
    num_layers=None,
    bidirectional=True,
    projection=True,
    peephole=True,
    no_bias=True,
    lengths=True,
    zero_lengths=True,
    gradients=True,
)
"""Everything that LSTMSpec can say."""


class _Raw(LSTMBackend):
    """What the two have in common.

    path: the plan that is wanted; None: as plan.py picks. kernels: the folder of the .cu files.
    """

    path: ClassVar[Path | None] = None
    kernels: ClassVar[FilePath] = KERNELS

    _machine: Machine
    _dtype: Any
    """What arrays hold."""

    def _start(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        if reason := self.capabilities.why_unsupported(spec):
            raise UnsupportedError(reason)
        weights.validate(spec)
        self._spec = spec
        self._lstm: RawLSTM | None = RawLSTM(spec, weights, self._machine, self.path)

    def forward(self, x: Any, state: LSTMState, lengths: Array | None = None, training: bool = False) -> tuple[Any, LSTMState]:
        """See LSTMBackend.forward.

        Raises ValueError for an argument of the wrong shape or dtype, OutOfMemoryError before anything is allocated,
        LaunchError where the device refuses a launch, EmulationError for what the emulator's detectors find.
        """
        lstm = self._open()
        validate_inputs(self._spec, x, state, lengths, self._dtype)
        return lstm.forward(x, state, lengths, training)

    def backward(self, grad_y: Any, grad_state: LSTMState) -> LSTMGradients:
        """See LSTMBackend.backward. Raises what `forward` raises, and RuntimeError where no training forward came before."""
        return self._open().backward(grad_y, grad_state)

    def _open(self) -> RawLSTM:
        if self._lstm is None:
            raise RuntimeError("this backend was closed; construct another one")
        return self._lstm

    def remark(self) -> str:
        """Which plan the last call ran, and why."""
        plans = [] if self._lstm is None else self._lstm.plans
        return "; ".join(f"{found.direction} {found.path}: {found.reason}" for found in plans)

    def close(self) -> None:
        """Drop the weights and what a backward would have needed."""
        self._lstm = None


class CuPyRawLSTM(_Raw):
    """The kernels on an NVIDIA GPU, on CuPy's current stream. Arrays are cupy.ndarray; bfloat16 as its bits in uint16."""

    capabilities = replace(ALL_PROMISES, device="cuda")

    @classmethod
    def unavailable(cls) -> str | None:
        """Why CuPy cannot reach a GPU here; None if nothing speaks against it. Imports no CuPy."""
        return "cupy is not installed" if importlib.util.find_spec("cupy") is None else why_no_device()

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        from .gpu.machine import GPUMachine

        self._machine = self._gpu = GPUMachine(spec.precision, self.kernels)
        self._dtype = self._gpu.stored
        self._start(spec, weights)

    def to_device(self, array: Array) -> Any:
        """A copy of the host array on the device."""
        return self._gpu.upload(array)

    def to_host(self, array: Any) -> Array:
        """A copy of the device array on the host."""
        return self._gpu.download(array)

    def synchronize(self) -> None:
        """Wait for CuPy's current stream."""
        import cupy

        cupy.cuda.get_current_stream().synchronize()


class EmulatedLSTM(_Raw):
    """The kernels on the CPU emulator. Each launch has a schedule of its own, and the result the same bits under all of them.

    Every access of a call of up to `most_checked` multiply-adds is checked; what is found is raised as EmulationError.
    """

    most_checked: ClassVar[int] = MOST_CHECKED_OPERATIONS

    capabilities = ALL_PROMISES

    def remark(self) -> str:
        """Which plan the last call ran, and that its time is no time of a GPU."""
        said = super().remark()
        return f"emulated on a CPU, which says nothing about speed; {said}" if said else ""

    @classmethod
    def unavailable(cls) -> str | None:
        """Why the kernels cannot be compiled here; None if nothing speaks against it."""
        return Emulator.unavailable()

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        from .emulator.machine import EmulatedMachine

        self._machine = self._emulated = EmulatedMachine(spec.precision, self.kernels)
        self._dtype = spec.dtype
        self._start(spec, weights)

    def forward(
        self, x: Array, state: LSTMState, lengths: Array | None = None, training: bool = False
    ) -> tuple[Array, LSTMState]:
        """See LSTMBackend.forward."""
        if getattr(x, "ndim", 0) == 3:
            self._emulated.detect = self._operations(len(x), x.shape[1], training) <= self.most_checked
            self._emulated.seed = crc32(np.asarray(x).tobytes())  # other numbers, other schedules; the same call replays
        return super().forward(x, state, lengths, training)

    def _operations(self, steps: int, batch: int, training: bool) -> int:
        """Multiply-adds of a call, roughly."""
        s = self._spec
        widths = sum(s.layer_input_size(l) + s.state_size for l in range(s.num_layers))
        return 4 * s.hidden_size * widths * s.num_directions * steps * batch * (3 if training else 1)
