"""A machine's fingerprint in words; no library is needed for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COMMIT = 10
"""Digits of a commit that a person needs."""


def machine_in_words(found: Mapping[str, Any]) -> str:
    """A fingerprint's processor, cores and GPUs."""
    cores = found.get("cores")
    parts = [found.get("cpu"), f"{cores} cores" if cores else None, *(found.get("gpu") or ())]
    return ", ".join(str(part) for part in parts if part)


def commit_in_words(found: Mapping[str, Any]) -> str | None:
    """The commit of a machine's fingerprint, for a person; None where it is of none."""
    commit, changes = found.get("git_commit"), found.get("git_changes")
    return f"commit {str(commit)[:COMMIT]}" + ", with changes that are not committed" * bool(changes) if commit else None
