"""Ctrl-C while a process is being started is handled when it has started."""

import subprocess
import sys

import pytest

INTERRUPTED = """
import signal, sys, threading
sys.path[:] = {path!r}
from lstm_parity.harness.worker.spawn import _deaf_to_interrupts
ready, done = threading.Event(), threading.Event()

def other():  # any thread may receive the signal, and Python handles it in the main one
    ready.wait()
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    done.set()

threading.Thread(target=other).start()
inside = False
try:
    with _deaf_to_interrupts():
        ready.set(), done.wait()
        for _ in range(100_000):
            pass
        inside = True
except KeyboardInterrupt:
    print("after" if inside else "within")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupt_that_another_thread_receives_waits():
    code = INTERRUPTED.format(path=sys.path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "after\n"
