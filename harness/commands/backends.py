"""What backends there are: can each run here, else why not and how to get it; what it promises."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from typing import Any

from lstm_parity.backends import Capabilities, UnavailableError, backend_names, load_backend
from lstm_parity.backends.registry import BackendNotFoundError, backend_hint


@dataclass(frozen=True)
class Found:
    """One registered backend. unavailable: why it cannot run here, None if it can; promises: None where unknown."""

    name: str
    unavailable: str | None
    hint: str
    promises: Capabilities | None


def inventory() -> list[Found]:
    """Every registered backend, sorted by name."""
    with redirect_stdout(sys.stderr):  # what a package prints on import is no part of the answer
        return [_look_at(name) for name in backend_names()]


def _look_at(name: str) -> Found:
    hint = backend_hint(name)
    try:
        backend = load_backend(name)
        return Found(name, backend.unavailable(), hint, backend.capabilities)
    except UnavailableError as error:
        return Found(name, error.reason, error.hint or hint, None)
    except (BackendNotFoundError, TypeError) as error:
        return Found(name, str(error), hint, None)
    except (
        Exception,
        SystemExit,
    ) as error:  # an installed package may raise anything; the others are listed
        return Found(name, f"{type(error).__name__}: {error}", hint, None)


def promises_in_words(promises: Capabilities) -> str:
    """One line: precisions first, then what else it can do, then what limits it."""
    order = ("float64", "float32", "tf32", "float16", "bfloat16")
    features = ("bidirectional", "projection", "peephole", "no_bias", "lengths", "zero_lengths", "gradients", "deterministic")
    layers = "any number of layers" if promises.num_layers is None else f"layers up to {promises.num_layers}"
    parts = [
        " ".join(p for p in order if p in promises.precisions),
        layers,
        *(name.replace("_", " ") for name in features if getattr(promises, name)),
    ]
    if promises.max_hidden_size is not None:
        parts.append(f"hidden size up to {promises.max_hidden_size}")
    return ", ".join(parts)


def as_text(found: list[Found]) -> str:
    """A paragraph a backend."""
    lines = []
    for backend in found:
        if backend.unavailable is None:
            lines.append(f"{backend.name}: can run here")
        else:
            lines.append(f"{backend.name}: cannot run here: {backend.unavailable}")
            if backend.hint:
                lines.append(f"    to get it: {backend.hint}")
        if backend.promises is not None:
            lines.append(f"    on {backend.promises.device}; promises {promises_in_words(backend.promises)}")
    return "\n".join(lines)


def as_json(found: list[Found]) -> str:
    """The same for programs."""

    def plain(backend: Found) -> dict[str, Any]:
        promises = None
        if backend.promises is not None:
            promises = asdict(backend.promises)
            promises["precisions"] = sorted(backend.promises.precisions)
        return {
            "backend": backend.name,
            "available": backend.unavailable is None,
            "reason": backend.unavailable,
            "hint": backend.hint or None,
            "capabilities": promises,
        }

    return json.dumps({"schema": 1, "backends": [plain(b) for b in found]}, indent=2)
