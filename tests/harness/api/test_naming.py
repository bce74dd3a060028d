"""Under which name a worker finds a class, wherever the class is defined."""

import importlib.util
import sys
from types import ModuleType

import pytest

from lstm_parity import CallError
from lstm_parity.backends.numpy_lstm import NumpyLSTM
from lstm_parity.harness.api.naming import name_of, names_of
from lstm_parity.harness.worker import by_value
from lstm_parity.harness.worker.client import WorkerClient
from lstm_parity.harness.worker.messages import Describe
from lstm_parity.harness.worker.server import Server

TEXT = """\
from lstm_parity.backends.numpy_lstm import NumpyLSTM

class Mine(NumpyLSTM):
    @classmethod
    def unavailable(cls):
        return "says " + __name__

    class Inner(NumpyLSTM):
        pass
"""


def what_a_worker_says(name):
    client = WorkerClient(Server, name, 1)
    try:
        return client.ask(Describe(), 60).unavailable
    finally:
        client.close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with mine.py in it."""
    (tmp_path / "mine.py").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(file, name):
    """As pytest's importlib mode loads a test module: it is in sys.modules, and not on the search path."""
    spec = importlib.util.spec_from_file_location(name, file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def modules(monkeypatch):
    """Modules that the test adds are removed again."""
    before = dict(sys.modules)
    yield
    for name in sys.modules.keys() - before.keys():
        if name.startswith(("mine", "tests_")):
            del sys.modules[name]


def test_a_registered_class_has_its_registered_name():
    assert name_of(NumpyLSTM) == "numpy"


def test_a_name_is_left_as_it_is():
    assert name_of("torch-cudnn") == "torch-cudnn"
    assert names_of(["numpy", NumpyLSTM, "other.py:Other"]) == ("numpy", "other.py:Other")


def test_a_class_on_the_search_path_is_named_by_its_module(folder, modules, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    import mine

    assert name_of(mine.Mine) == "mine:Mine"
    assert what_a_worker_says("mine:Mine") == "says mine"


def test_a_class_of_a_file_that_is_not_on_the_search_path_is_named_by_the_file(folder, modules, monkeypatch):
    cls = loaded(folder / "mine.py", "tests_mine").Mine
    assert name_of(cls) == "mine.py:Mine"
    assert what_a_worker_says("mine.py:Mine").startswith("says lstm_parity_file_mine")
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert name_of(cls) == f"{folder / 'mine.py'}:Mine"


def test_another_module_of_that_name_on_the_search_path_is_not_taken_for_it(folder, modules, monkeypatch, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "mine.py").write_text("")
    monkeypatch.syspath_prepend(str(other))
    assert name_of(loaded(folder / "mine.py", "mine").Mine) == "mine.py:Mine"


def test_a_class_without_a_file_is_sent_by_value(modules):
    module = sys.modules["mine_of_no_file"] = ModuleType("mine_of_no_file")
    exec(TEXT, vars(module))
    assert name_of(module.Mine) == "__main__:Mine"
    assert what_a_worker_says("__main__:Mine") == "says mine_of_no_file"


def test_a_class_of_a_function_or_of_a_class_is_sent_by_value(folder, modules):
    told = "what the function knows"

    class Local(NumpyLSTM):
        @classmethod
        def unavailable(cls):
            return told

    assert name_of(Local) == "__main__:Local"
    assert what_a_worker_says("__main__:Local") == told
    assert name_of(loaded(folder / "mine.py", "tests_mine").Mine.Inner) == "__main__:Inner"
    assert what_a_worker_says("__main__:Inner") is None


def test_the_newest_of_two_classes_of_one_name_is_sent():
    def made(said):
        class Local(NumpyLSTM):
            @classmethod
            def unavailable(cls):
                return said

        return Local

    first, second = made("first"), made("second")
    digests = {(name_of(cls), by_value.digest("__main__:Local")) for cls in (first, second)}
    assert len(digests) == 2
    assert what_a_worker_says("__main__:Local") == "second"
    with pytest.raises(CallError, match=r"^two backend classes are called __main__:Local; rename one of them$"):
        names_of([first, second])


def test_what_cannot_be_sent_is_refused_in_one_line(monkeypatch):
    lock = __import__("threading").Lock()

    class Local(NumpyLSTM):
        held = lock

    with pytest.raises(CallError, match=r"^Local cannot be sent to a worker process \(TypeError: .*\); move it to a file$"):
        name_of(Local)
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    wanted = "^Local: a worker process cannot import this class; move it to a file, or pip install cloudpickle$"
    with pytest.raises(CallError, match=wanted):
        name_of(Local)


@pytest.mark.parametrize("backend", [None, 3, NumpyLSTM.forward])
def test_what_is_no_class_is_refused(backend):
    with pytest.raises(CallError, match=r"is no backend; give a subclass of lstm_parity.LSTMBackend or a name$"):
        name_of(backend)
