"""Words that cannot be carried out, stores that cannot be used, and what a command may import."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lstm_parity.harness.machine.host
import lstm_parity.harness.sweep.run
from lstm_parity.backends import Capabilities
from lstm_parity.harness.cli import COMMANDS, main
from lstm_parity.harness.records import TIMED
from lstm_parity.harness.store import Store

THIRD_PARTY = '''\
"""A whole backend in plain NumPy: one layer, one direction, float32."""
import numpy as np
from lstm_parity import Capabilities, LSTMBackend, LSTMState


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class MyLSTM(LSTMBackend):
    capabilities = Capabilities()

    def __init__(self, spec, weights):
        self.w = weights.layers[0][0]

    def forward(self, x, state, lengths=None, training=False):
        w, h, c, y = self.w, state.h[0], state.c[0], []
        for row in x:
            z = row @ w.w_ih.T + h @ w.w_hh.T + w.b_ih + w.b_hh
            i, f, g, o = np.split(z, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            y.append(h)
        return np.stack(y), LSTMState(h[None], c[None])
'''


@pytest.fixture
def no_peaks(monkeypatch):
    """In this process: the machine's peaks need not be measured."""
    monkeypatch.setattr(lstm_parity.harness.sweep.run, "measure_peaks", lambda threads, cuda: {("none", "copy"): 1.0})


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(words, capfd):
    """Carry out in this process; returns the one line that says why not."""
    try:
        code = main(words)
    except SystemExit as error:
        code = error.code
    out, said = capfd.readouterr()
    assert code == 2, said
    assert out == ""
    assert len(said.strip().splitlines()) == 1, said
    assert said.startswith(("lstm-parity: ", f"lstm-parity {''.join(words[:1])}: "))
    return said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sequence-length", "0"], "sequence_length must be in 1..2147483647, not 0"),
        (["--batch-size", "-3"], "not -3"),
        (["--hidden-size", "ten"], "'ten' is not an integer"),
        (["--hidden-size", "1.5"], "'1.5' is not an integer"),
        (["--hidden-size", ""], "'' is not an integer"),
        (["--hidden-size", "1,,2"], "'' is not an integer"),
        (["--hidden-size", "9" * 5000], "is not an integer"),
        (["--hidden-size", "99999999999"], "must be in 1..2147483647"),
        (["--input-size", "hiden"], "'hiden' is not an integer"),
        (["--num-layers", "0"], "num_layers must be in 1.."),
        (["--precision", "float33"], "did you mean 'float32'?"),
        (["--mode", "train"], "invalid choice: 'train'"),
        (["--threads", "0"], "'0' is not an integer above 0"),
        (["--threads", "100000"], "cores; give that many or fewer"),
        (["--backend", "numpy@HEAD"], "BACKEND@REVISION is for `lstm-parity duel`"),
        (["--backend", "none.py"], "no such file"),
        (["--budget", "nan"], "not a number of seconds above 0"),
        (["--budget", "-1"], "not a number of seconds above 0"),
        (["--batch"], "unrecognized arguments: --batch"),
        (["--hiden-size", "3"], "unrecognized arguments"),
        (["smoek"], "did you mean smoke?"),
        (["smoke", "deepbench"], "unrecognized arguments: deepbench"),
        (["none.toml"], "cannot read none.toml: No such file"),
        (["--weights", "none.onnx"], "none.onnx"),
        (["--backend", "nunpy"], "did you mean numpy?"),
        (["--backend", ""], "unknown backend ''"),
        (["--backend", "none.py:X"], "no such file"),
        (["--backend", "none:X"], "no module named 'none'"),
        (["--backend", "json:JSONDecoder"], "is not a subclass of lstm_parity.LSTMBackend"),
        (["--backend", "lstm_parity.harness.cli:X"], "has no class 'X'"),
        (["--store", "no/folder/s.sqlite"], "does its folder exist"),
        (["--store", "."], "is a folder"),
        (["--sequence-length", "2147483647", "--batch-size", "2147483647"], "bytes of memory, this machine has"),
        (["--hidden-size", "2147483647"], "bytes of memory, this machine has"),
        (["--store", ":memory:"], "a store in memory is lost when the command ends"),
        (["--store", "/dev/null"], "/dev/null is no regular file, and no store"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_what_cannot_be_carried_out_is_one_line_and_leaves_nothing(in_folder, no_peaks, capfd, words, said):
    assert said in refused(["sweep", *words], capfd)
    assert {path.name for path in in_folder.iterdir()} <= {"lstm-parity.sqlite"}
    if (in_folder / "lstm-parity.sqlite").exists():
        with Store(in_folder / "lstm-parity.sqlite") as store:
            assert store.frames().runs.empty


@pytest.mark.parametrize("words", [[], ["swep"], ["sweep", "--help-me"], ["report", "--nothing"]])
def test_unknown_commands_are_one_line(in_folder, capfd, words):
    assert "--help" in refused(words, capfd)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["sweep", "--batchsize", "3"],
            "sweep: unrecognized arguments: --batchsize (did you mean --batch-size?); `lstm-parity",
        ),
        (["duel", "numpy", "numpy", "--zzz"], "duel: unrecognized arguments: --zzz; `lstm-parity duel --help` says more"),
    ],
)
def test_an_unknown_option_is_told_by_its_command(in_folder, capfd, words, said):
    assert said in refused(words, capfd)


BACKENDS_THAT_CANNOT_RUN = {
    "segfault.py": ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV"),
    "exits.py": ("import sys; sys.exit('bye')", "fails on import: SystemExit: bye"),
    "needs.py": ("import no_such_library", "needs no_such_library, which is not installed"),
    "lacks.py": ("class Y: pass", "has no class 'X'; it defines Y"),
    "refuses.py": (
        "from lstm_parity.backends.numpy_lstm import NumpyLSTM\nclass X(NumpyLSTM):\n"
        "    @classmethod\n    def unavailable(cls): return 'no\\n  licence'",
        "backend refuses.py:X: no licence",
    ),
}


@pytest.mark.parametrize("name", BACKENDS_THAT_CANNOT_RUN)
def test_a_named_backend_that_cannot_run_is_exit_2_before_anything_is_measured(in_folder, monkeypatch, capfd, name):
    text, said = BACKENDS_THAT_CANNOT_RUN[name]
    monkeypatch.setattr(lstm_parity.harness.sweep.run, "measure_peaks", lambda *a, **k: pytest.fail("measured"))
    monkeypatch.setattr(lstm_parity.harness.sweep.run, "measure_cell", lambda *a, **k: pytest.fail("measured"))
    (in_folder / name).write_text(text)
    first = ["--backend", "numpy"] if name == "segfault.py" else []  # one that can run does not change the answer
    assert said in refused(["sweep", *first, "--backend", f"{name}:X"], capfd)
    with Store(in_folder / "lstm-parity.sqlite") as store:
        assert store.frames().runs.empty


def test_a_file_without_a_class_is_answered_with_the_classes_in_it(in_folder, no_peaks, capfd):
    (in_folder / "mine.py").write_text("class Y: pass\nclass Z: pass")
    assert "mine.py is a file: say which class of it, mine.py:CLASS; it defines Y, Z" in refused(
        ["sweep", "--backend", "mine.py"], capfd
    )


def test_a_file_size_limit_is_one_line(bench):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    done = bench.run("sweep", bench.tiny(), "--store", "new.sqlite", preexec_fn=limit)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "new.sqlite" in done.stderr


def test_a_read_only_folder_is_one_line(bench, small_disk):
    store = shutil.copy(bench.store, small_disk / "s.sqlite")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    done = bench.run("sweep", bench.tiny(), "--store", store)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "cannot be written" in done.stderr


HEAVY = ("torch", "cupy", "pandas", "rich", "onnx", "numpy")


def imported_by(bench, *words):
    ask = f"import sys, atexit; atexit.register(lambda: print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr))"
    done = bench.run(*words, patch=ask)
    assert done.returncode == 0, done.stderr
    return done, done.stderr.strip().splitlines()[-1]


def test_help_and_the_list_of_backends_import_nothing_heavy(bench):
    assert imported_by(bench, "--help")[1] == "[]"
    assert imported_by(bench, "backends")[1] == "['numpy']"


def test_help_imports_no_sub_command_and_that_of_each_sub_command_nothing_heavy(bench):
    show = f"""
import sys
from lstm_parity.harness.cli import COMMANDS, main
for words in ([], *([name] for name in COMMANDS), *(["runs", action] for action in ("name", "export", "delete"))):
    try:
        main([*words, "--help"])
    except SystemExit as error:
        assert error.code == 0
    modules = [m.rpartition(".")[2] for m in sys.modules if m.startswith("lstm_parity.harness.commands.")]
    print("imported:", *sorted(set(modules) & set(COMMANDS)), *(m for m in {HEAVY} if m in sys.modules))
"""
    done = bench.run(patch=show + "sys.exit()")
    assert done.returncode == 0, done.stderr
    helps = re.split(r"^imported:(.*)\n", done.stdout, flags=re.MULTILINE)
    assert helps[1] == ""  # after `lstm-parity --help`
    assert helps[1:-1:2][-1].split() == sorted(COMMANDS)  # at the end: all of them, and nothing heavy
    texts = helps[:-1:2]
    assert [name for name in COMMANDS if not re.search(rf"^    {name}\s", texts[0], re.MULTILINE)] == []
    for name, text in zip(COMMANDS, texts[1:], strict=False):
        assert text.startswith(f"usage: lstm-parity {name} ")
    options = {option for text in texts for option in re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE)}
    assert options == OPTIONS


OPTIONS = {
    "--arch",
    "--backend",
    "--baseline",
    "--batch-size",
    "--bidirectional",
    "--budget",
    "--clear",
    "--examples",
    "--hidden-size",
    "--input-size",
    "--json",
    "--kernels",
    "--known-failures",
    "--list-checks",
    "--markdown",
    "--mode",
    "--no-bias",
    "--num-layers",
    "--only",
    "--out",
    "--pairs",
    "--path",
    "--peephole",
    "--precision",
    "--proj-size",
    "--ragged",
    "--resume",
    "--schedule",
    "--schedules",
    "--seed",
    "--sequence-length",
    "--store",
    "--threads",
    "--threshold",
    "--timeout",
    "--unfinished",
    "--version",
    "--warm",
    "--weights",
}
"""Every option of the command line."""


@pytest.mark.parametrize(
    ("words", "package"), [(["sweep"], "ml_dtypes"), (["report"], "pandas"), (["verify", "numpy"], "hypothesis")]
)
def test_a_core_package_that_is_missing_is_one_line(bench, words, package):
    done = bench.run(*words, patch=f"sys.modules[{package!r}] = None")
    assert (done.returncode, done.stderr) == (
        2,
        f"lstm-parity {words[0]}: the package {package} is not installed; pip install {package}\n",
    )


def test_backends_json(capsys):
    assert main(["backends", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == 1
    by_name = {entry["backend"]: entry for entry in said["backends"]}
    assert list(by_name) == sorted(by_name)
    assert {"numpy", "torch-cpu", "torch-cudnn"} <= by_name.keys()
    for entry in by_name.values():
        assert entry.keys() == {"backend", "available", "reason", "hint", "capabilities"}
        assert entry["available"] == (entry["reason"] is None)
        assert entry["available"] or entry["hint"]
        assert entry["capabilities"].keys() == vars(Capabilities()).keys()
    assert by_name["numpy"]["available"]
    assert "bfloat16" in by_name["numpy"]["capabilities"]["precisions"]
    assert main(["backends"]) == 0
    text = capsys.readouterr().out
    assert all(f"{name}: can run here" in text or f"{name}: cannot run here: " in text for name in by_name)


FILE = 'it\'s a "folder"/my lstm.py'
"""A file backend's name."""


@pytest.fixture(scope="module")
def swept(shared_bench):
    """A sweep of a file backend and of an installed one into a store with a name of odd bytes: what the process gave, the
    store's frames, and the answer of `backends --json`. Two more packages are installed that cannot be imported.
    """
    for name, text in [("mine", THIRD_PARTY), ("loud", "print('hello'); import sys; sys.exit(3)"), ("broken", "1 / 0")]:
        shared_bench.file(f"site/{name}_package.py", text)
        about = shared_bench.folder / "site" / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[lstm_parity.backends]\n{name} = {name}_package:MyLSTM\n")
    backends = ["numpy", "mine", shared_bench.file(FILE, THIRD_PARTY) + ":MyLSTM"]
    named = [word for name in backends for word in ("--backend", name)]
    shared_bench.store = shutil.copy(shared_bench.store, shared_bench.folder / os.fsdecode(b"it's \xff.sqlite"))
    axes = ["--precision", "float32,float64", "--num-layers", "1,2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(shared_bench.folder / "site"))
        listed = shared_bench.run("backends", "--json")
        done = shared_bench.sweep(shared_bench.tiny(steps=[2]), *named, *axes)
    with Store(shared_bench.store) as kept:
        return done, kept.frames(), listed


def test_names_of_odd_bytes(swept):
    done, frames, _ = swept
    assert done.returncode == 0, done.stderr
    assert frames.runs["command"].str.contains("udcff").all()


def test_a_sweep_says_nothing_on_standard_output(swept):
    assert swept[0].stdout == ""


def test_an_installed_package_adds_a_backend(swept):
    listed = swept[2]
    assert listed.returncode == 0, listed.stderr
    by_name = {entry["backend"]: entry for entry in json.loads(listed.stdout)["backends"]}
    assert by_name["mine"]["available"]
    assert "ZeroDivisionError" in by_name["broken"]["reason"]
    assert "SystemExit" in by_name["loud"]["reason"]
    assert timed(swept[1].rows, "mine")


def test_a_third_party_file_is_swept(swept):
    assert len(THIRD_PARTY.splitlines()) <= 30
    assert timed(swept[1].rows, f"{FILE}:MyLSTM")


def timed(rows, backend):
    """Whether the backend has a time in its one cell that it promises."""
    promised = (rows["precision"] == "float32") & (rows["num_layers"] == 1)
    (status,) = rows["status"][promised & (rows["backend"] == backend)]
    return status in TIMED


def test_what_a_backend_does_not_promise_is_unsupported(swept):
    rows = swept[1].rows[swept[1].rows["backend"] == "mine"]
    reasons = {(r.precision, r.num_layers): r.reason for r in rows.itertuples() if r.status == "UNSUPPORTED"}
    assert len(rows) == 4
    assert reasons == {
        ("float64", 1): "not promised: precision float64",
        ("float32", 2): "not promised: more than 1 layer",
        ("float64", 2): "not promised: precision float64",
    }


def test_output_into_a_closed_pipe(bench):
    with subprocess.Popen(
        bench.command("backends"), cwd=bench.folder, env=bench.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert said == b""
    assert process.returncode == 0


def test_memory_is_refused_before_it_is_asked_for(in_folder, monkeypatch, capfd):
    monkeypatch.setattr(lstm_parity.harness.sweep.run, "memory_bytes", lambda: 1000)
    said = refused(["sweep", "--backend", "numpy", "--hidden-size", "64"], capfd)
    assert "1,000" in said
    assert not list(in_folder.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_processors_name_is_always_a_text(monkeypatch):
    assert lstm_parity.harness.machine.host.cpu_name()
    monkeypatch.setattr(Path, "read_text", lambda *a, **k: (_ for _ in ()).throw(OSError))
    monkeypatch.setattr("platform.processor", lambda: "")
    assert lstm_parity.harness.machine.host.cpu_name()


class Driver:
    """Stands in for the CUDA driver of a machine with two GPUs, the second of which tells nothing of itself."""

    def cuInit(self, flags):
        return 0

    def cuDeviceGetCount(self, count):
        count._obj.value = 2
        return 0

    def cuDeviceGet(self, device, ordinal):
        device._obj.value = ordinal
        return 0

    def cuDeviceGetName(self, text, size, device):
        text.value = b"a GPU"
        return device.value

    def cuDeviceGetAttribute(self, value, attribute, device):
        assert attribute == 38
        value._obj.value = 2**30
        return device.value


def test_a_gpu_has_a_cache_of_its_own(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: Driver())
    assert lstm_parity.harness.machine.host.gpu_names() == ["a GPU"]
    assert lstm_parity.harness.machine.host.cache_bytes.__wrapped__("cuda") == 2**30
    assert 0 < lstm_parity.harness.machine.host.cache_bytes.__wrapped__("cpu") < 2**30
    monkeypatch.setattr(Driver, "cuInit", lambda self, flags: 100)
    assert lstm_parity.harness.machine.host.gpu_names() == []
    assert 0 < lstm_parity.harness.machine.host.cache_bytes.__wrapped__("cuda") < 2**30


def test_a_report_goes_into_a_folder(in_folder, capfd):
    (in_folder / "page").write_text("")
    assert refused(["report", "--out", "page"], capfd).startswith("lstm-parity report: page is a file; --out takes a folder")


def test_ctrl_c_in_an_import_that_turns_it_into_an_import_error_is_an_interrupt():
    """As numpy's C extensions do."""
    program = (
        "import os, signal, sys\nfrom lstm_parity.harness import cli\nfrom lstm_parity.harness.commands import backends\n"
        "def run(_):\n    try:\n        os.kill(os.getpid(), signal.SIGINT); signal.pause()\n"
        "    except KeyboardInterrupt as error:\n        raise ImportError('numpy._core.umath failed to import') from error\n"
        "backends.run = run\nsys.argv = ['lstm-parity', 'backends']\nsys.exit(cli.main())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "lstm-parity backends: interrupted\n")
