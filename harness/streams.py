"""Standard output and error whose reader may have gone."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TextIO


def discard(stream: TextIO) -> None:
    """Send what a stream still holds, and all that follows, to nowhere: its reader has gone, which is no fault of ours."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
