"""Finding a compiler, compiling, and keeping what was compiled."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import lstm_parity
from lstm_parity.backends import UnavailableError
from lstm_parity.backends.cupy_raw.emulator import compiler, emulator
from lstm_parity.backends.cupy_raw.emulator.compiler import CompileError, compile_library, source_texts
from lstm_parity.backends.cupy_raw.emulator.emulator import Emulator

pytestmark = pytest.mark.deep

ROOT = Path(lstm_parity.__file__).resolve().parents[1]
RIGHT = 'extern "C" int answer() { return 42; }\n'


@pytest.fixture
def source(tmp_path):
    if compiler.compiler() is None:
        pytest.skip("UNVERIFIED: no C++ compiler")
    path = tmp_path / "source" / "small.cu"
    path.parent.mkdir()
    path.write_text(RIGHT)
    return path


def counting_compiler(tmp_path, monkeypatch, seconds=0.0):
    """A compiler that leaves a mark each time that it compiles. Gives the folder of the marks."""
    marks, script = tmp_path / "marks", tmp_path / "bin" / "c++"
    marks.mkdir()
    script.parent.mkdir()
    real = compiler.compiler()[0]
    script.write_text(
        f'#!/bin/sh\nif [ "$1" != --version ]; then mktemp {marks}/XXXXXX > /dev/null; sleep {seconds}; fi\nexec {real} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)
    assert compiler.compiler() == (str(script),)
    return marks


def files(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_what_was_compiled_is_found_again(source, tmp_path, monkeypatch):
    marks, cache = counting_compiler(tmp_path, monkeypatch), tmp_path / "cache"
    first = compile_library(source, (), (), cache)
    assert compile_library(source, (), (), cache) == first
    assert len(files(marks)) == 1
    assert files(cache) == [first.name]


def test_another_source_header_flag_or_compiler_is_compiled_anew(source, tmp_path, monkeypatch):
    marks, cache, headers = counting_compiler(tmp_path, monkeypatch), tmp_path / "cache", tmp_path / "headers"
    headers.mkdir()
    (headers / "a.cuh").write_text('#include "b.cuh"\n')
    (headers / "b.cuh").write_text("// first\n")
    source.write_text('#include "a.cuh"\n' + RIGHT)
    paths = [compile_library(source, (headers,), (), cache)]
    (headers / "b.cuh").write_text("// second\n")
    paths.append(compile_library(source, (headers,), (), cache))
    paths.append(compile_library(source, (headers,), ("-DX=1",), cache))
    source.write_text(source.read_text() + "// longer\n")
    paths.append(compile_library(source, (headers,), ("-DX=1",), cache))
    monkeypatch.setattr(compiler, "_version", lambda command: "another")
    paths.append(compile_library(source, (headers,), ("-DX=1",), cache))
    assert len({path.name for path in paths}) == len(files(marks)) == 5


def test_headers_that_include_each_other_are_read_once(tmp_path):
    (tmp_path / "a.cuh").write_text('#pragma once\n#include "b.cuh"\n#include <absent>\n#include "absent.cuh"\n')
    (tmp_path / "b.cuh").write_text('#pragma once\n#include "a.cuh"\n')
    assert len(source_texts(tmp_path / "a.cuh", ())) == 2


def test_what_does_not_compile_leaves_nothing_and_says_why(source, tmp_path):
    cache = tmp_path / "cache"
    source.write_text("int broken( {\n")
    with pytest.raises(CompileError, match=r"small\.cu does not compile") as failure:
        compile_library(source, (), (), cache)
    assert "error" in str(failure.value)
    assert "-std=c++17" in str(failure.value)
    assert files(cache) == []
    source.write_text(RIGHT)
    assert compile_library(source, (), (), cache).exists()


def test_a_compiler_that_dies_half_way_leaves_nothing(source, tmp_path, monkeypatch):
    script = tmp_path / "bin" / "c++"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\n[ "$1" = --version ] && exit\nfor last; do :; done\necho half > "$last"\nexit 1\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(CompileError):
        compile_library(source, (), (), tmp_path / "cache")
    assert files(tmp_path / "cache") == []


def test_an_unwritable_cache_is_replaced_for_this_process(source, tmp_path, monkeypatch, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    path = compile_library(source, (), (), blocked / "cache")
    assert path.exists()
    assert compile_library(source, (), (), blocked / "cache") == path
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert str(blocked / "cache") in lines[0]


def test_a_cache_that_only_reads_is_read(source, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    path = compile_library(source, (), (), cache)
    monkeypatch.setattr(compiler, "_writable", lambda folder: pytest.fail("nothing needs to be written"))
    assert compile_library(source, (), (), cache) == path


def test_of_two_processes_one_compiles_and_the_other_waits(source, tmp_path, monkeypatch):
    marks, cache = counting_compiler(tmp_path, monkeypatch, seconds=0.5), tmp_path / "cache"
    script = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        from pathlib import Path
        from lstm_parity.backends.cupy_raw.emulator.compiler import compile_library
        print(compile_library(Path({str(source)!r}), (), (), Path({str(cache)!r})))
    """)
    running = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    paths = {process.communicate(timeout=60)[0] for process in running}
    assert len(paths) == 1
    assert len(files(marks)) == 1
    assert files(cache) == [Path(paths.pop().strip()).name]


def test_where_files_cannot_be_locked_it_compiles_all_the_same(source, tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError("no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert compile_library(source, (), (), tmp_path / "cache").exists()
    assert [name for name in files(tmp_path / "cache") if name.endswith(".so")]


def test_without_a_compiler(monkeypatch, tmp_path):
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    monkeypatch.setattr(compiler, "find_spec", lambda name: None)
    assert compiler.compiler() is None
    reason = Emulator.unavailable()
    assert "no C++ compiler" in reason
    assert "ziglang" in reason
    monkeypatch.setattr(emulator, "_runtimes", [])
    with pytest.raises(UnavailableError, match="no C\\+\\+ compiler"):
        Emulator(cache=tmp_path).empty(3, np.float32, True)
    assert Emulator(cache=tmp_path).empty(3, np.float32, False).shape == (3,)
    with pytest.raises(UnavailableError):
        Emulator(cache=tmp_path).launch("widen", "float32", file="copies", grid=(1, 1, 1), threads=32, sizes={}, arguments=[])


def test_the_package_ziglang_is_a_compiler_where_there_is_no_other(monkeypatch):
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    monkeypatch.setattr(compiler, "find_spec", lambda name: object())
    assert compiler.compiler() == (sys.executable, "-m", "ziglang", "c++")


def test_a_compiler_that_fails_is_none(monkeypatch, tmp_path):
    """The backend is then not available, in place of wrong."""
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\necho 'c++: fatal: licence expired' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(compiler.shutil, "which", lambda name: str(broken))
    monkeypatch.setattr(emulator, "default_cache", lambda: tmp_path / "cache")
    assert Emulator.unavailable() == f"the C++ compiler {broken} does not work: c++: fatal: licence expired"


def test_another_system(monkeypatch):
    monkeypatch.setattr(emulator.os, "name", "nt")
    assert "POSIX" in Emulator.unavailable()
