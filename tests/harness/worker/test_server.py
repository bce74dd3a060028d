"""What every worker answers, asked in this process and in a child."""

import subprocess
import sys
import time

import pytest

from lstm_parity.harness.sweep.server import SweepServer
from lstm_parity.harness.verify.program import Program
from lstm_parity.harness.worker.client import WorkerClient, WorkerError
from lstm_parity.harness.worker.messages import Describe, Description, Failure
from lstm_parity.harness.worker.server import Server


def test_every_worker_describes_its_backend():
    found = Server("numpy").answer(Describe())
    assert isinstance(found, Description)
    assert found.unavailable is None
    assert "float32" in found.capabilities.precisions


def test_what_cannot_be_loaded_is_a_failure_each_time():
    server = Server("nunpy")
    for _ in range(2):
        failure = server.answer(Describe())
        assert isinstance(failure, Failure)
        assert failure.kind == "not_found"
        assert "did you mean numpy" in failure.reason


def test_a_message_that_nobody_answers_is_a_failure():
    failure = Server("numpy").answer("open")
    assert isinstance(failure, Failure)
    assert failure.kind == "crashed"
    assert "KeyError" in failure.reason


def test_the_backend_is_loaded_once(monkeypatch):
    import lstm_parity.backends.registry

    loaded, load = [], lstm_parity.backends.registry.load_backend
    monkeypatch.setattr(lstm_parity.backends.registry, "load_backend", lambda name: loaded.append(name) or load(name))
    server = Server("numpy")
    assert loaded == []
    assert server.backend_class is server.backend_class
    server.answer(Describe())
    assert loaded == ["numpy"]


SPINS = """
import threading
from lstm_parity.backends.numpy_lstm import NumpyLSTM
class X(NumpyLSTM): pass
threading.Thread(target=lambda: all(iter(lambda: True, False)), daemon=True).start()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_that_is_held_still_takes_no_cpu_time_until_it_goes_on(tmp_path):
    (tmp_path / "spins.py").write_text(SPINS)
    client = WorkerClient(Server, f"{tmp_path / 'spins.py'}:X", 1)

    def used_in_half_a_second():
        start = client.cpu_seconds
        time.sleep(0.5)
        return client.cpu_seconds - start

    try:
        client.ask(Describe(), 60)
        client.pause()
        assert used_in_half_a_second() <= 0.02  # two of the system's steps: it may have been in one, and end another
        client.resume()
        deadline = time.monotonic() + 60
        while used_in_half_a_second() <= 0.02:
            assert time.monotonic() < deadline
    finally:
        client.close()


@pytest.mark.parametrize("server_class", [Server, SweepServer])
def test_a_child_answers_with_the_class_that_it_was_given(server_class):
    client = WorkerClient(server_class, "numpy", 1)
    try:
        assert client.ask(Describe(), 60).unavailable is None
        with pytest.raises(WorkerError, match="KeyError") as caught:
            client.ask(Program((), ()), 60)
        assert caught.value.status == "CRASHED"
        assert client.alive
    finally:
        client.close()
    assert not client.alive


@pytest.mark.parametrize("module", ["lstm_parity.harness.worker.server", "lstm_parity.harness.sweep.server"])
def test_a_server_imports_nothing_but_the_standard_library_before_it_is_asked(module):
    """What fails or prints on import must find the child's output kept already, and no backend may come before its clock."""
    heavy = {"numpy", "lstm_parity.backends", "lstm_parity.harness.worker.calls"}
    look = f"import sys, {module}\nprint(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []
