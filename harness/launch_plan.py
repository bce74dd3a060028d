"""What `lstm-parity plan` prints: which kernels compute a problem on an architecture, with what, and why."""

from __future__ import annotations

from backends import LSTMSpec, UnavailableError, UnsupportedError
from backends.cupy_raw.compile_report import KernelCompileError, compile_kernels
from backends.cupy_raw.device import DEVICES, Device
from backends.cupy_raw.launch import Launch
from backends.cupy_raw.plan import Path, Plan, plan
from backends.cupy_raw.recurrence import Recurrence

from .errors import CallError


def device_named(arch: str) -> Device:
    """The device that plans for an architecture are made for. Raises CallError, naming those there are, for an unknown one."""
    if arch not in DEVICES:
        raise CallError(f"--arch: {arch!r} is unknown; known: {', '.join(DEVICES)}")
    return DEVICES[arch]


def plan_in_words(spec: LSTMSpec, steps: int, batch: int, device: Device, *, training: bool, path: Path | None) -> str:
    """The plan of every pass over a layer. Raises CallError where no kernel takes the problem."""
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
    parts += [_pass_in_words(found, device, spec.precision) for found in passes]
    return "\n\n".join(parts)


def _pass_in_words(found: Plan, device: Device, precision: str) -> str:
    step = f"{_scaled(found.flops_per_step, 1000, 'FLOP')}, {_scaled(found.bytes_per_step, 1024, 'B')}"
    lines = [
        f"{found.direction}, for each layer: {found.path}",
        f"  why        {found.reason}",
        f"  a step     {step} (U, the state, z and c once each)",
    ]
    if found.path == "stepwise":
        product, end = ("h U^T", "") if found.direction == "forward" else ("dz U", "; state_gradients once, at the end")
        lines.append(f"  each step  {product} by cuBLAS, and the kernels of this table{end}")
    lines.append(f"  {'kernel':<20} {'grid':>14} {'threads':>8} {'shared':>10}   registers")
    for launch in found.launches:
        grid = " x ".join(map(str, launch.grid))
        shared = f"{launch.shared_bytes / 1024:.1f} KiB"
        registers = _registers(launch, device, precision)
        lines.append(f"  {launch.kernel:<20} {grid:>14} {launch.threads:>8} {shared:>10}   {registers}")
        if launch.cooperative:
            lines.append("  " + ", ".join(f"{name} {value}" for name, value in launch.sizes.items()))
    return "\n".join(lines)


def _registers(launch: Launch, device: Device, precision: str) -> str:
    """Registers a thread as the compiler says, or why it was not asked."""
    try:
        report = compile_kernels(launch.file, precision, launch.sizes, device.arch).reports[launch.kernel]
    except UnavailableError as error:
        return f"UNVERIFIED: {error.reason}"
    except (KernelCompileError, ValueError) as error:
        return f"UNVERIFIED: {str(error).splitlines()[0]}"
    return f"{report.registers} a thread, {report.spill_bytes} bytes spilled"


def _scaled(value: float, base: int, unit: str) -> str:
    prefixes = ["", "k", "M", "G", "T"] if base == 1000 else ["", "Ki", "Mi", "Gi", "Ti"]
    while value >= base and len(prefixes) > 1:
        value /= base
        prefixes.pop(0)
    return f"{value:.3g} {prefixes[0]}{unit}"
