"""BACKEND@REVISION: what is found, from which worktree, and that nothing of it stays."""

import os
import subprocess
from pathlib import Path

import pytest

from lstm_parity.harness.compare.revision import checked_out
from lstm_parity.harness.errors import CallError


def git(folder, *words):
    env = {**os.environ, **{f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}}
    return subprocess.run(["git", "-C", folder, *words], check=True, capture_output=True, text=True, env=env).stdout


@pytest.fixture
def repository(tmp_path, monkeypatch):
    folder = tmp_path / "with space"
    (folder / "sub").mkdir(parents=True)
    git(folder, "init", "-q")
    for number in (1, 2):
        (folder / "sub" / "mine.py").write_text(f"VERSION = {number}\nclass X: pass\n")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", f"{number}")
    git(folder, "tag", "v0.1", "HEAD~1")
    monkeypatch.chdir(folder)
    return folder


def test_a_name_without_a_revision_is_as_it_is():
    for name in ("numpy", "a.b:C", "x/y.py:C"):
        with checked_out(name) as version:
            assert (version.worker.backend, version.worker.module_path) == (name, ())


def test_the_commit_of_a_side_and_whether_it_lies_there_changed(repository):
    head, before = (git(repository, "rev-parse", revision).strip() for revision in ("HEAD", "HEAD~1"))

    def found(text):
        with checked_out(text) as version:
            return version.commit, version.changed, str(version)

    assert found("sub/mine.py:X@v0.1") == (before, False, f"commit {before[:10]}")
    assert found("sub/mine.py:X") == (head, False, f"commit {head[:10]}")
    (repository / "sub" / "mine.py").write_text("class X: pass")
    assert found("sub/mine.py:X") == (head, True, f"commit {head[:10]}, with uncommitted changes")
    (repository / "other.py").write_text("class X: pass")
    assert found("other.py:X") == found("sub.mine:X") == (None, False, "in no commit")


def test_a_side_without_a_revision_needs_no_git(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with checked_out("sub/mine.py:X") as version:
        assert version.commit is None
    with pytest.raises(CallError, match="needs git"), checked_out("sub/mine.py:X@HEAD"):
        pytest.fail("entered")


@pytest.mark.parametrize("revision", ["HEAD~1", "v0.1", "HEAD@{1}"])
def test_a_file_of_a_revision_is_that_of_its_worktree(repository, revision):
    with checked_out(f"sub/mine.py:X@{revision}") as version:
        path, _, name = version.worker.backend.rpartition(":")
        assert name == "X"
        assert Path(path).read_text().startswith("VERSION = 1\n")
        assert len(git(repository, "worktree", "list").splitlines()) == 2
    assert not Path(path).exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_the_worktree_goes_when_the_duel_is_interrupted(repository):
    with pytest.raises(KeyboardInterrupt), checked_out("sub/mine.py:X@HEAD"):
        raise KeyboardInterrupt
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_a_module_is_looked_for_in_the_worktree_first(repository):
    with checked_out("sub.mine:X@HEAD") as version:
        assert version.worker.backend == "sub.mine:X"
        assert Path(version.worker.module_path[0], "sub", "mine.py").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sub/mine.py:X@nowhere", "has no revision 'nowhere'"),
        ("sub/mine.py:X@-x", "has no revision '-x'"),
        ("sub/other.py:X@HEAD", "that revision has no sub/other.py"),
        ("numpy@HEAD", "has no package `backends`"),
        ("sub/mine.py:X@", "there is no revision after the @"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(repository, name, said):
    with pytest.raises(CallError, match="one line" if "\n" in said else said), checked_out(name):
        pytest.fail("entered")
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_hooks_of_the_repository_do_not_run(repository):
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch '{repository}/ran'\n")
    hook.chmod(0o755)
    with checked_out("sub/mine.py:X@HEAD"):
        assert not (repository / "ran").exists()


def test_a_file_outside_of_any_repository_has_no_revisions(repository, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "mine.py").write_text("class X: pass")
    with pytest.raises(CallError, match=f"{outside} is not in a git repository"), checked_out(f"{outside / 'mine.py'}:X@HEAD"):
        pass


def test_a_hook_keeps_the_index_of_its_commit(repository, monkeypatch):
    """`git commit -a` has hooks run with an index of its own, which is to become the commit."""
    (repository / "sub" / "mine.py").write_text("class X: pass")
    index = repository / ".git" / "next-index"
    monkeypatch.setenv("GIT_INDEX_FILE", str(index))
    git(repository, "add", "-A")
    before = index.read_bytes()
    with checked_out("sub/mine.py:X@HEAD~1"):
        pass
    assert index.read_bytes() == before


def test_another_worktree_that_is_away_for_a_while_stays_known(repository):
    git(repository, "worktree", "add", "-q", "../other", "-b", "feature")
    (repository.parent / "other").rename(repository.parent / "away")
    with checked_out("sub/mine.py:X@HEAD~1"):
        pass
    (repository.parent / "away").rename(repository.parent / "other")
    assert "feature" in git(repository.parent / "other", "status")


def test_a_link_out_of_the_repository_is_what_the_repository_holds(repository, tmp_path):
    (tmp_path / "elsewhere.py").write_text("class X: pass")
    (repository / "link.py").symlink_to(tmp_path / "elsewhere.py")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "link")
    with checked_out("link.py:X@HEAD") as version:
        assert Path(version.worker.backend.partition(":")[0]).is_symlink()
