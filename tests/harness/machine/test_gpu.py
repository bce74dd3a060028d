"""The state of a GPU, read from libraries that stand in for the driver's: what is asked of them, and when nothing is said."""

import ctypes
import subprocess

import pytest

from lstm_parity.backends.cupy_raw.emulator.compiler import compiler
from lstm_parity.harness.machine import gpu as module
from lstm_parity.harness.machine.gpu import DISTURBING, GPUState, describe_throttling, gpu_state, why_disturbed

NVML = r"""
#include <cstring>
extern "C" {
// device 0 and 1, at 0000:17:00.0 and 0000:65:00.0; what each says is set by the test
unsigned clock_mhz[2] = {1500, 1980};
unsigned long long bits[2] = {0, 0};
int started = 0, fails_init = 0, fails_clock = 0, fails_bits = 0;
unsigned devices = 2;
static int places[2];
int nvmlInit_v2() { ++started; return fails_init; }
int nvmlDeviceGetCount_v2(unsigned* count) { *count = devices; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
    if (index >= devices) return 2;
    *device = &places[index];
    return 0;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char* id, void** device) {
    // the driver writes eight digits of the domain, CUDA four
    int index = !strcmp(id, "0000:17:00.0") ? 0 : !strcmp(id, "0000:65:00.0") ? 1 : -1;
    return index < 0 ? 6 : nvmlDeviceGetHandleByIndex_v2(index, device);
}
static int which(void* device) { return (int*)device - places; }
int nvmlDeviceGetClockInfo(void* device, int type, unsigned* clock) {
    *clock = type == 1 ? clock_mhz[which(device)] : 7;  // 1: the multiprocessors'
    return fails_clock;
}
#ifdef REASONS
int REASONS(void* device, unsigned long long* found) { *found = bits[which(device)]; return fails_bits; }
#endif
}
"""
CUDA = r"""
#include <cstring>
extern "C" {
int visible[2] = {1, 0}, count = 2, fails_init = 0;  // as with CUDA_VISIBLE_DEVICES=1,0
int cuInit(unsigned) { return fails_init; }
int cuDeviceGet(int* device, int ordinal) { if (ordinal >= count) return 101; *device = visible[ordinal]; return 0; }
int cuDeviceGetPCIBusId(char* text, int length, int device) {
    strncpy(text, device ? "0000:65:00.0" : "0000:17:00.0", length);
    return 0;
}
}
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    command = compiler()
    if command is None:
        pytest.skip("UNVERIFIED: no C++ compiler makes a library that stands in for the driver's")

    def built(text, *flags):
        folder = tmp_path_factory.mktemp("driver")
        (folder / "fake.cpp").write_text(text)
        library = folder / "fake.so"
        subprocess.run([*command, "-shared", "-fPIC", "-o", library, folder / "fake.cpp", *flags], check=True)
        return library

    return built


@pytest.fixture(scope="module")
def libraries(build):
    names = {
        "new": ["-DREASONS=nvmlDeviceGetCurrentClocksEventReasons"],
        "old": ["-DREASONS=nvmlDeviceGetCurrentClocksThrottleReasons"],
        "oldest": [],
    }
    return {name: build(NVML, *flags) for name, flags in names.items()} | {"cuda": build(CUDA)}


@pytest.fixture
def driver(libraries, monkeypatch):
    """Puts the libraries in place of the driver's: NVML of this age, and CUDA's or none. Gives what a test may set in them."""
    restore = []

    class Driver:
        def __init__(self, age="new", cuda=True):
            monkeypatch.setattr(module, "NVML", str(libraries[age]))
            monkeypatch.setattr(module, "CUDA", str(libraries["cuda"] if cuda else "no-such-library.so"))
            module._device.cache_clear()
            self.nvml, self.cuda = ctypes.CDLL(str(libraries[age])), ctypes.CDLL(str(libraries["cuda"]))

        def set(self, library, name, kind, value):
            place = kind.in_dll(library, name)
            if kind not in (ctypes.c_int, ctypes.c_uint):
                old = list(place)
                place[:] = value
                restore.append(lambda: place.__setitem__(slice(None), old))
            else:
                old = place.value
                place.value = value
                restore.append(lambda: setattr(place, "value", old))

        def says(self, clocks, bits):
            self.set(self.nvml, "clock_mhz", ctypes.c_uint * 2, clocks)
            self.set(self.nvml, "bits", ctypes.c_ulonglong * 2, bits)

    yield Driver
    for undo in reversed(restore):
        undo()
    module._device.cache_clear()


@pytest.mark.parametrize("age", ["new", "old"])
def test_the_device_is_the_one_that_cuda_counts_first(driver, age):
    found = driver(age)
    found.says([1500, 1980], [0x40, 2**40 + 0x4])
    assert gpu_state() == gpu_state(0) == GPUState(1980.0, 2**40 + 0x4)
    assert gpu_state(1) == GPUState(1500.0, 0x40)
    found.says([1500, 1755], [0, 0])
    assert gpu_state() == GPUState(1755.0, 0)


def test_the_library_is_started_once(driver):
    found = driver()
    found.set(found.nvml, "started", ctypes.c_int, 0)
    for _ in range(5):
        gpu_state()
    assert ctypes.c_int.in_dll(found.nvml, "started").value == 1


def test_what_the_driver_does_not_tell_is_none(driver):
    found = driver("oldest")
    assert gpu_state() == GPUState(1980.0, None)
    found.set(found.nvml, "fails_clock", ctypes.c_int, 3)
    assert gpu_state() is None
    found = driver("new")
    found.set(found.nvml, "fails_clock", ctypes.c_int, 3)
    assert gpu_state() == GPUState(None, 0)
    found.set(found.nvml, "fails_bits", ctypes.c_int, 3)
    assert gpu_state() is None


def test_without_cuda_only_a_single_device_is_sure_to_be_meant(driver):
    found = driver(cuda=False)
    assert gpu_state() is None
    found = driver(cuda=False)
    found.set(found.nvml, "devices", ctypes.c_uint, 1)
    assert gpu_state() == GPUState(1500.0, 0)
    assert gpu_state(1) is None


def test_a_device_that_cuda_does_not_see_has_no_state(driver):
    found = driver()
    found.set(found.cuda, "count", ctypes.c_int, 1)
    assert gpu_state(1) is None
    found = driver()
    found.set(found.cuda, "visible", ctypes.c_int * 2, [0, 1])
    assert gpu_state() == GPUState(1500.0, 0)


@pytest.mark.parametrize("broken", ["init", "library", "symbols"])
def test_where_there_is_no_driver_nothing_is_said(driver, libraries, monkeypatch, broken):
    found = driver()
    if broken == "init":
        found.set(found.nvml, "fails_init", ctypes.c_int, 9)
    else:
        monkeypatch.setattr(module, "NVML", "no-such-library.so" if broken == "library" else str(libraries["cuda"]))
    assert gpu_state() is None


def test_reasons_in_words():
    assert describe_throttling(0) == "nothing"
    assert describe_throttling(0x4) == "the power limit"
    assert describe_throttling(0x8 | 0x40) == "the hardware's slowdown, heat (hardware)"
    assert describe_throttling(0x1000 | 0x20) == "heat (software), reason 0x1000"


@pytest.mark.parametrize(
    ("clock", "bits", "highest", "why"),
    [
        (1980, 0, None, None),
        (1980, 0, 1980, None),
        (1890, 0, 1980, None),  # 4.5% less
        (1875, 0, 1980, "the GPU's clock was at 1875 MHz, after 1980 MHz in this cell"),  # 5.3%
        (1700, 0x4, 1980, "the GPU's clock was at 1700 MHz, after 1980 MHz in this cell (the power limit)"),
        (1980, 0x4, 1980, None),
        (2000, 0x102, 1980, None),
        (300, 0x1, 1980, None),
        (1980, 0x8, 1980, "the GPU's clock was reduced by the hardware's slowdown"),
        (1980, 0x20 | 0x4, None, "the GPU's clock was reduced by heat (software)"),
        (1980, 0x40, 1980, "the GPU's clock was reduced by heat (hardware)"),
        (1980, 0x80, 1980, "the GPU's clock was reduced by the power supply"),
        (None, 0x80, 1980, "the GPU's clock was reduced by the power supply"),
        (None, None, 1980, None),
        (1000, None, 1980, "the GPU's clock was at 1000 MHz, after 1980 MHz in this cell"),
    ],
)
def test_what_counts_as_a_disturbance(clock, bits, highest, why):
    assert why_disturbed(GPUState(clock, bits), highest) == why


def test_every_disturbing_bit_has_its_words():
    for bit in (1 << k for k in range(64)):
        assert (why_disturbed(GPUState(None, bit), None) is not None) is bool(bit & DISTURBING)
