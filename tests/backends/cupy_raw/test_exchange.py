"""The time of an exchange on the double of a GPU: what is launched and how its events are read; no claim about a GPU."""

import pytest

from lstm_parity.backends.cupy_raw.emulator.emulator import Emulator
from lstm_parity.harness.sweep import peaks


@pytest.fixture
def gpu(make_gpu, monkeypatch, tmp_path):
    """Its clock goes on by 2 ms with each launch, and by 1.5 us with each exchange."""
    gpu = make_gpu()
    gpu.emulator = Emulator(peaks.assembled(tmp_path))
    gpu.clock_ms, launched = 0.0, gpu.emulator.launch

    def launch(*words, arguments, **options):
        launched(*words, arguments=arguments, **options)
        gpu.clock_ms += 2 + 1.5e-3 * arguments[3]

    class Event:
        def record(self):
            self.at = gpu.clock_ms

        def synchronize(self):
            pass

    monkeypatch.setattr(gpu.emulator, "launch", launch)
    gpu.cupy.cuda.Event, gpu.cupy.cuda.get_elapsed_time = Event, lambda before, after: after.at - before.at
    monkeypatch.setattr(peaks, "FEW", 3)
    monkeypatch.setattr(peaks, "MANY", 8)
    return gpu


def test_the_latency_is_in_seconds_by_the_device_s_name(gpu):
    (((device, kind), seconds),) = peaks.cuda_latency().items()
    assert (device, kind) == (gpu.properties["name"].decode(), "grid_exchange")
    assert seconds == pytest.approx(1.5e-6)


def test_a_device_that_cannot_hold_all_blocks_at_once_has_none(gpu):
    gpu.properties["cooperativeLaunch"] = 0
    assert peaks.cuda_latency() == {}
