"""`lstm-parity backends`: which backends can run here, why the others cannot and how to get them, and what each promises."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lstm_parity.backends import Capabilities


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the sub-command."""
    parser.add_argument("--json", action="store_true", help="as JSON on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Print the list of backends; returns the exit code."""
    found = inventory()
    print(as_json(found) if arguments.json else as_text(found))
    return 0


@dataclass(frozen=True)
class Found:
    """One registered backend."""

    name: str
    unavailable: str | None
    """Why it cannot run here; None if it can."""
    hint: str
    """How to get what it needs; "" where unknown."""
    promises: Capabilities | None
    """None where the class cannot be loaded."""


def inventory() -> list[Found]:
    """Every registered backend, sorted by name."""
    from lstm_parity.backends import backend_names

    with redirect_stdout(sys.stderr):  # a package may print when it is imported
        return [_inspect(name) for name in backend_names()]


def _inspect(name: str) -> Found:
    from lstm_parity.backends import UnavailableError, load_backend
    from lstm_parity.backends.registry import BackendNotFoundError, backend_hint

    hint = backend_hint(name)
    try:
        backend = load_backend(name)
        return Found(name, backend.unavailable(), hint, backend.capabilities)
    except UnavailableError as error:
        return Found(name, error.reason, error.hint or hint, None)
    except (BackendNotFoundError, TypeError) as error:
        return Found(name, str(error), hint, None)
    except (Exception, SystemExit) as error:  # an installed package may raise anything; the others are still listed
        return Found(name, f"{type(error).__name__}: {error}", hint, None)


def format_promises(promises: Capabilities) -> str:
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
    """One paragraph per backend."""
    lines = []
    for backend in found:
        if backend.unavailable is None:
            lines.append(f"{backend.name}: can run here")
        else:
            lines.append(f"{backend.name}: cannot run here: {backend.unavailable}")
            if backend.hint:
                lines.append(f"    to get it: {backend.hint}")
        if backend.promises is not None:
            lines.append(f"    on {backend.promises.device}; promises {format_promises(backend.promises)}")
    return "\n".join(lines)


def as_json(found: list[Found]) -> str:
    """The same as JSON."""

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
