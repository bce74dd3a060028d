"""`lstm-parity plan`: which kernels compute a problem on an architecture, with which launch parameters, and why."""

from __future__ import annotations

import argparse
import textwrap
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ..errors import CallError
from ..text import byte_size, rate
from .options import natural, positive

if TYPE_CHECKING:
    from lstm_parity.backends import LSTMSpec
    from lstm_parity.backends.cupy_raw.plan.device import Device
    from lstm_parity.backends.cupy_raw.plan.launch import Launch
    from lstm_parity.backends.cupy_raw.plan.plan import Path, Plan


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the sub-command."""
    add_problem(parser)
    parser.add_argument("--arch", default="sm_90a", metavar="ARCH", help="sm_80, sm_90a, ... (default: sm_90a)")


def add_problem(parser: argparse.ArgumentParser) -> None:
    """One problem for this project's kernels; the defaults are small enough for `emulate`."""
    for name, value in (("sequence-length", 5), ("batch-size", 9), ("hidden-size", 13), ("num-layers", 1)):
        parser.add_argument(f"--{name}", type=positive, default=value, metavar="N", help=f"default: {value}")
    parser.add_argument("--input-size", type=positive, metavar="N", help="default: the hidden size")
    parser.add_argument("--proj-size", type=natural, default=0, metavar="N", help="default: 0, no projection")
    parser.add_argument("--bidirectional", action="store_true", help="both directions")
    parser.add_argument("--no-bias", action="store_true", help="without biases")
    parser.add_argument("--peephole", action="store_true", help="with peepholes")
    parser.add_argument(
        "--precision", default="float32", metavar="P", help="float64, float32 (default), tf32, float16, bfloat16"
    )
    parser.add_argument("--mode", choices=("inference", "training"), default="training", help="default: training")
    parser.add_argument(
        "--path", choices=("persistent", "stepwise"), help="this plan, in place of the one that would be picked"
    )


def spec_of(arguments: argparse.Namespace) -> LSTMSpec:
    """The spec that the options of `add_problem` describe. Raises CallError."""
    from lstm_parity.backends import LSTMSpec

    try:
        return LSTMSpec(
            input_size=arguments.input_size or arguments.hidden_size,
            hidden_size=arguments.hidden_size,
            num_layers=arguments.num_layers,
            bidirectional=arguments.bidirectional,
            proj_size=arguments.proj_size,
            bias=not arguments.no_bias,
            peephole=arguments.peephole,
            precision=arguments.precision,
        )
    except ValueError as error:
        raise CallError(str(error)) from error


def run(arguments: argparse.Namespace) -> int:
    """Print the plan of each pass; returns the exit code."""
    device, training = device_named(arguments.arch), arguments.mode == "training"
    steps, batch = arguments.sequence_length, arguments.batch_size
    print(plan_as_text(spec_of(arguments), steps, batch, device, training=training, path=arguments.path))
    return 0


def device_named(arch: str) -> Device:
    """The device that plans for an architecture are made for. Raises CallError, naming those there are, for an unknown one."""
    from lstm_parity.backends.cupy_raw.plan.device import DEVICES

    if arch not in DEVICES:
        near = get_close_matches(arch, DEVICES, n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise CallError(f"--arch: {arch!r} is unknown: {guess}Known: {', '.join(DEVICES)}")
    return DEVICES[arch]


def plan_as_text(spec: LSTMSpec, steps: int, batch: int, device: Device, *, training: bool, path: Path | None) -> str:
    """The plan of every pass over a layer. Raises CallError where no kernel takes the problem."""
    from lstm_parity.backends import UnsupportedError
    from lstm_parity.backends.cupy_raw.plan.plan import plan
    from lstm_parity.backends.cupy_raw.plan.recurrence import Recurrence

    recurrence = Recurrence.of(spec, steps, batch)
    try:
        passes = [plan(recurrence, device, "forward", path)]
        if training:
            passes.append(plan(recurrence, device, "backward", path))
    except UnsupportedError as error:
        raise CallError(error.reason) from error
    sizes = f"T={steps} B={batch} I={spec.input_size} H={spec.hidden_size}"
    sizes += f" P={spec.proj_size}" * (spec.proj_size > 0) + f" L={spec.num_layers} D={spec.num_directions}"
    room = f"{device.multiprocessors} multiprocessors, {device.shared_bytes // 1024} KiB of shared memory a block"
    parts = [f"{sizes}, {spec.precision}, on {device.name} ({device.arch}: {room})"]
    parts += [_pass_as_text(found, device, spec.precision) for found in passes]
    return "\n\n".join(parts)


def _pass_as_text(found: Plan, device: Device, precision: str) -> str:
    step = f"{rate(found.flops_per_step, 'FLOP')}, {byte_size(found.bytes_per_step)}"
    forward = found.direction == "forward"
    around = (
        "W x of all steps first, by cuBLAS" if forward else "dW, dU and dx of all steps after it, by cuBLAS; biases by sums.cu"
    )
    lines = [
        f"{found.direction}, for each layer: {found.path}",
        *_wrapped("why", found.reason),
        *_wrapped("a step", f"{step} (U, the state, z and c once each)"),
        *_wrapped("around it", around),
    ]
    if found.path == "stepwise":
        product, end = ("h U^T", "") if forward else ("dz U", "; state_gradients once, at the end")
        lines += _wrapped(
            "each step", f"{product} by cuBLAS, and the kernels of this table{end}; all steps recorded as a CUDA graph"
        )
    lines.append(f"  {'kernel':<20} {'grid':>14} {'threads':>8} {'shared':>10}   registers")
    missing = ""
    for launch in found.launches:
        grid = " x ".join(map(str, launch.grid))
        shared = f"{launch.shared_bytes / 1024:.1f} KiB"
        registers, missing = _registers(launch, device, precision)
        lines.append(f"  {launch.kernel:<20} {grid:>14} {launch.threads:>8} {shared:>10}   {registers}")
    for launch in found.launches[:1]:
        kind = "cooperative launch: all blocks resident" if launch.cooperative else "plain launches"
        sizes = ", ".join(f"{name} {value}" for name, value in launch.sizes.items())
        lines += _wrapped("compiled", f"{kind}; with {sizes}")
    return "\n".join([*lines, *(_wrapped("registers", missing) if missing else [])])


def _wrapped(name: str, text: str) -> list[str]:
    return textwrap.wrap(text, 112, initial_indent=f"  {name:<10} ", subsequent_indent=" " * 13)


def _registers(launch: Launch, device: Device, precision: str) -> tuple[str, str]:
    """Registers per thread as reported by the compiler, or UNVERIFIED and why there is no report."""
    from lstm_parity.backends import UnavailableError
    from lstm_parity.backends.cupy_raw.gpu.compile_report import KernelCompileError, compile_kernels

    try:
        report = compile_kernels(launch.file, precision, launch.sizes, device.arch).reports[launch.kernel]
    except UnavailableError as error:
        return "UNVERIFIED", f"{error.reason}; {error.hint}"
    except (KernelCompileError, ValueError) as error:
        return "UNVERIFIED", str(error).splitlines()[0]
    return f"{report.registers} a thread, {report.spill_bytes} bytes spilled", ""
