"""A machine's fingerprint in a line; no library is needed for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def machine_in_words(found: Mapping[str, Any]) -> str:
    """A fingerprint's processor, cores and GPUs."""
    cores = found.get("cores")
    parts = [found.get("cpu"), f"{cores} cores" if cores else None, *(found.get("gpu") or ())]
    return ", ".join(str(part) for part in parts if part)
