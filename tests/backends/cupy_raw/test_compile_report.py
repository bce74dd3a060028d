"""What NVRTC makes of the project's kernels, for every precision and architecture; and that the report says it truly."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

from lstm_parity.backends import LSTMSpec
from lstm_parity.backends.cupy_raw.gpu.compile_report import (
    Compiled,
    KernelCompileError,
    KernelReport,
    compile_kernels,
    disassembly,
    local_memory_instructions,
    supported_architectures,
)
from lstm_parity.backends.cupy_raw.plan.device import DEVICES
from lstm_parity.backends.cupy_raw.plan.launch import GEMM_THREADS
from lstm_parity.backends.cupy_raw.plan.plan import plan
from lstm_parity.backends.cupy_raw.plan.recurrence import Recurrence
from lstm_parity.backends.cupy_raw.source import KERNELS
from lstm_parity.backends.interface import UnavailableError

FILES = sorted(path.stem for path in KERNELS.glob("*.cu"))
PRECISIONS = ("float64", "float32", "tf32", "float16", "bfloat16")
ARCHITECTURES = ("sm_80", "sm_90a", "sm_100")
REGISTERS = 65_536
"""Of a multiprocessor, on each of these architectures."""

RECURRENCES = (
    {"hidden": 512, "batch": 16},
    {"hidden": 700, "batch": 64, "bidirectional": True, "peephole": True},
    {"hidden": 13, "batch": 1, "bidirectional": True, "peephole": True, "proj_size": 5},
)
"""Odd and even sizes, one row and many, with tensor cores and without, operands that are staged whole and in chunks."""


def launches_of(file: str, precision: str, arch: str) -> list[tuple[dict[str, int], int]]:
    """The SIZEs and the threads of a block of the file's launches, as the plan has them for these problems."""
    if file in ("copies", "gemm", "sums"):
        return [({}, GEMM_THREADS if file == "gemm" else 256)]
    path, direction = file.split("_")
    found = {}
    for sizes in RECURRENCES if path == "persistent" else RECURRENCES[::2]:  # the stepwise kernels depend on features alone
        features = {name: value for name, value in sizes.items() if name not in ("hidden", "batch")}
        spec = LSTMSpec(sizes["hidden"], sizes["hidden"], precision=precision, **features)
        wanted = None if path == "persistent" else path
        for launch in plan(Recurrence.of(spec, 50, sizes["batch"]), DEVICES[arch], direction, wanted).launches:
            if launch.file == file:
                found[tuple(launch.sizes.items())] = (dict(launch.sizes), launch.threads)
    assert found, f"add the sizes with which {file}.cu is launched"
    launches = list(found.values())
    if arch == "sm_90a":
        return launches
    return launches[:1] if path == "persistent" else launches[-1:]  # with tensor cores; with all features


@cache
def compiled_launches(file: str, precision: str, arch: str) -> list[tuple[Compiled, int]]:
    """Each of the file's launches, compiled, and its threads. Compiled once in a session, for all tests."""
    return [(compile_kernels(file, precision, sizes, arch), threads) for sizes, threads in launches_of(file, precision, arch)]


def most_registers(compiled: Compiled) -> int:
    return max(report.registers for report in compiled.reports.values())


def compile_own(folder: Path, text: str, arch: str = "sm_90a") -> Compiled:
    (folder / "own.cu").write_text(text)
    return compile_kernels("own", "float32", {}, arch, folder)


@pytest.fixture(scope="session")
def compiler() -> list[str]:
    """What NVRTC compiles for."""
    try:
        return supported_architectures()
    except UnavailableError as error:
        pytest.skip(f"UNVERIFIED: {error}")


@pytest.fixture(scope="session")
def disassembler(compiler: list[str]) -> None:
    try:
        disassembly(b"")
    except UnavailableError as error:
        pytest.skip(f"UNVERIFIED: {error}")
    except ValueError:
        pass  # it is there, and refuses an empty image


every_file = pytest.mark.parametrize("file", FILES)
DISASSEMBLED = [("float64", "sm_90a"), ("float16", "sm_90a"), ("float32", "sm_80"), ("bfloat16", "sm_100")]
"""Some are also disassembled; the compiler's report is read for all."""

every_architecture = pytest.mark.parametrize("arch", ARCHITECTURES)


def test_there_are_kernels() -> None:
    assert FILES


# without tensor cores tf32 is compiled from the same text as float32
@pytest.mark.parametrize(("file", "precision"), [(f, p) for f in FILES for p in PRECISIONS if p != "tf32" or "persistent" in f])
@every_architecture
@pytest.mark.usefixtures("compiler")
def test_a_kernel_spills_nothing_and_fits_the_registers(file: str, precision: str, arch: str) -> None:
    kernels = set(re.findall(r'extern "C" __global__ .*?(\w+)\($', (KERNELS / f"{file}.cu").read_text(), re.MULTILINE))
    for compiled, threads in compiled_launches(file, precision, arch):
        assert set(compiled.reports) == kernels
        for report in compiled.reports.values():
            assert (report.stack_bytes, report.spill_bytes) == (0, 0), report
            assert -(-report.registers // 8) * 8 * threads <= REGISTERS, report  # a thread's come in eights


@every_file
@pytest.mark.parametrize(("precision", "arch"), DISASSEMBLED)
@pytest.mark.usefixtures("disassembler")
def test_a_kernel_touches_no_local_memory(file: str, precision: str, arch: str) -> None:
    # of the file's launches the one whose threads need most registers: disassembling takes longer than compiling
    compiled, _ = max(compiled_launches(file, precision, arch), key=lambda launch: most_registers(launch[0]))
    text = disassembly(compiled.cubin)
    assert all(f"text.{kernel}" in text for kernel in compiled.reports)
    assert local_memory_instructions(text) == []


EVERY_NAME = Path(__file__).parent / "emulator" / "kernels"
"""Small kernels that between them use every name of the device header, clusters included; the emulator's tests run them."""


@pytest.mark.parametrize("path", sorted(EVERY_NAME.glob("*.cu")), ids=lambda path: path.stem)
@pytest.mark.usefixtures("compiler")
def test_every_name_of_the_header_compiles_for_a_gpu(tmp_path: Path, path: Path) -> None:
    folder = tmp_path / "kernels"
    shutil.copytree(KERNELS, folder)
    shutil.copy(path, folder)
    sizes = dict.fromkeys(re.findall(r"SIZE\((\w+)\)", path.read_text()), 8)
    assert compile_kernels(path.stem, "bfloat16", sizes, "sm_90a", folder).reports


SPILLING = """
extern "C" __global__ void __launch_bounds__(1024, 2) own(float* data) {
    float kept[64];
#pragma unroll
    for (int i = 0; i < 64; ++i) kept[i] = data[i * 1024 + threadIdx.x];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 64; ++i) data[i * 1024 + threadIdx.x] = kept[i] * kept[(i * 7 + 3) % 64] + kept[(i * 29 + 11) % 64];
}
"""
INDEXING = """
extern "C" __global__ void __launch_bounds__(64) own(float* data, const int* places) {
    float kept[16] = {};
    for (int i = 0; i < 16; ++i) kept[places[i] % 16] += data[i];
    data[threadIdx.x] = kept[places[threadIdx.x] % 16];
}
"""
CALLING = """
__device__ __noinline__ float called(float* data, const int* places) {
    float kept[16] = {};
    for (int i = 0; i < 16; ++i) kept[places[i] % 16] += data[i];
    return kept[places[threadIdx.x] % 16];
}
extern "C" __global__ void __launch_bounds__(64) first(float* data) { data[threadIdx.x] = 1; }
extern "C" __global__ void __launch_bounds__(64) own(float* data, const int* places) { data[0] = called(data, places); }
extern "C" __global__ void __launch_bounds__(64) last(float* data) { data[threadIdx.x] = 2; }
"""


@every_architecture
@pytest.mark.usefixtures("disassembler")
def test_a_spill_is_seen_both_ways(tmp_path: Path, arch: str) -> None:
    compiled = compile_own(tmp_path, SPILLING, arch)
    report = compiled.reports["own"]
    assert report.registers <= 32  # what the launch bounds leave to each of 2048 threads
    assert report.spill_bytes >= 2 * 4  # a store and a load
    assert report.stack_bytes >= 4
    found = " ".join(local_memory_instructions(disassembly(compiled.cubin)))
    assert "LDL" in found
    assert "STL" in found


@every_architecture
@pytest.mark.usefixtures("disassembler")
def test_a_local_array_that_is_indexed_is_seen_both_ways(tmp_path: Path, arch: str) -> None:
    compiled = compile_own(tmp_path, INDEXING, arch)
    report = compiled.reports["own"]
    assert (report.stack_bytes, report.spill_bytes) == (16 * 4, 0)
    assert local_memory_instructions(disassembly(compiled.cubin))


@every_architecture
@pytest.mark.usefixtures("compiler")
def test_the_stack_of_a_called_function_is_its_callers(tmp_path: Path, arch: str) -> None:
    reports = compile_own(tmp_path, CALLING, arch).reports
    assert {name: report.stack_bytes >= 16 * 4 for name, report in reports.items()} == {
        "first": False,
        "own": True,
        "last": False,
    }


@pytest.mark.usefixtures("compiler")
def test_static_shared_memory_and_barriers_are_reported(tmp_path: Path) -> None:
    text = """
extern "C" __global__ void __launch_bounds__(64) own(float* data, int place) {
    __shared__ float kept[64];
    kept[threadIdx.x] = data[threadIdx.x];
    __syncthreads();
    data[threadIdx.x] = kept[place];
}
"""
    report = compile_own(tmp_path, text, "sm_80").reports["own"]
    assert report == KernelReport("own", report.registers, 0, 0, static_shared_bytes=256, barriers=1)
    assert 0 < report.registers < 64


@pytest.mark.usefixtures("disassembler")
def test_the_image_is_whole(tmp_path: Path) -> None:
    cubin = compile_own(tmp_path, CALLING).cubin
    assert "EXIT" in disassembly(cubin)
    with pytest.raises(ValueError, match=r"nvdisasm cannot read the image: .*ELF"):
        disassembly(cubin[:-1])


@pytest.mark.parametrize(
    ("text", "header", "where"),
    [
        (
            '#include "own.cuh"\n\nextern "C" __global__ void own(float* data) { data[0] = absent; }',
            "",
            r"own\.cu\(3\): error: .*absent",
        ),
        ('#include "own.cuh"\n', "\n__device__ void broken( {\n", r"own\.cuh\(2\): error"),
        (
            '#include "own.cuh"\nextern "C" __global__ void own() { asm volatile("nonsense;"); }',
            "",
            r"ptxas .*error .*nonsense",
        ),
    ],
    ids=["file", "header", "assembler"],
)
@pytest.mark.usefixtures("compiler")
def test_an_error_of_the_compiler_is_reported_with_file_and_line(tmp_path: Path, text: str, header: str, where: str) -> None:
    (tmp_path / "own.cuh").write_text(header)
    with pytest.raises(KernelCompileError, match=where) as caught:
        compile_own(tmp_path, text)
    assert str(caught.value).startswith("own.cu, float32, sm_90a:\n")
    assert "\0" not in str(caught.value)


def test_a_file_that_is_not_there(compiler: list[str], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        compile_kernels("absent", "float32", {}, compiler[-1], tmp_path)


def test_the_architectures_are_known(compiler: list[str]) -> None:
    assert {"sm_80", "sm_90", "sm_100"} <= set(compiler)
    assert compiler == sorted(compiler, key=lambda name: int(name.removeprefix("sm_")))


@pytest.mark.parametrize("arch", ["sm_999", "sm_80a", "sm_90aa", "compute_90", "90", ""])
@pytest.mark.usefixtures("compiler")
def test_an_unknown_architecture_is_named_with_the_known_ones(tmp_path: Path, arch: str) -> None:
    with pytest.raises(ValueError, match=rf"unknown architecture '{arch}'; known: .*sm_80, .*sm_100"):
        compile_own(tmp_path, SPILLING, arch)


def test_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy_backends.cuda.libs", None)
    with pytest.raises(UnavailableError, match="CuPy cannot be imported") as caught:
        compile_kernels("gemm", "float32", {}, "sm_80")
    assert caught.value.hint.startswith("pip install cupy")


def test_without_nvrtc(monkeypatch: pytest.MonkeyPatch) -> None:
    def version() -> None:
        raise RuntimeError("no such file: libnvrtc\nmore of it")

    libraries = SimpleNamespace(nvrtc=SimpleNamespace(getVersion=version))
    monkeypatch.setitem(sys.modules, "cupy_backends.cuda.libs", libraries)
    with pytest.raises(UnavailableError, match=r"CuPy does not find NVRTC \(no such file: libnvrtc\)") as caught:
        supported_architectures()
    assert "nvidia-cuda-nvrtc" in caught.value.hint


def test_nvdisasm_of_the_path_where_its_package_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, stdout=command[0], stderr="")

    monkeypatch.setattr(importlib.metadata, "files", absent)
    monkeypatch.setattr(shutil, "which", lambda name: f"there/{name}")
    monkeypatch.setattr(subprocess, "run", run)
    assert disassembly(b"") == "there/nvdisasm"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UnavailableError, match="nvdisasm is neither installed nor on the PATH") as caught:
        disassembly(b"")
    assert caught.value.hint == "pip install nvidia-cuda-nvdisasm"


def test_importing_the_report_imports_no_cupy() -> None:
    code = f"""
import sys
sys.path[:] = {sys.path!r}
import lstm_parity.backends.cupy_raw.gpu.compile_report
assert not {{"cupy", "cupy_backends", "torch"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_only_instructions_count_as_local_memory() -> None:
    text = """
        /*0070*/              @!P0 STL.64 [R1+0x8], R4 ;
        /*0080*/                   LDL.LU R2, [R1] ;
        /*0090*/                   LDG.E R2, [R4.64] ;
        /*00a0*/                   CALL.REL.NOINC `(LDL_and_STL) ;
        .type           STL,@function
"""
    assert [line.split()[-3:] for line in local_memory_instructions(text)] == [["[R1+0x8],", "R4", ";"], ["R2,", "[R1]", ";"]]
