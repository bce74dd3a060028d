"""A sweep as data: which cells, which backends, how long; from a preset or a TOML file, and the axes of the command line.

A TOML file holds `title`, `backends`, `budget` (seconds of sampling a cell) and any number of [[grid]] tables; a grid's keys
are the axes below, each with one value or a list, and its cells are all combinations. Axes left out have the value of `Cell`;
`input_size = "hidden"` follows the hidden size.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from lstm_parity.backends import LSTMSpec

from ..errors import CallError
from ..records import CELL_COLUMNS, Cell, columns_of

DEFAULT_BACKENDS = ("numpy", "torch-cpu", "torch-cudnn", "cupy-raw")
DEFAULT_BUDGET_S = 10.0

AXES = tuple(name for name in CELL_COLUMNS if name != "weights")
"""The axes that a grid may give; weights come from --weights."""
MODEL_AXES = tuple(field.name for field in fields(LSTMSpec) if field.name != "precision")
"""The axes that a weights file decides."""
MAX_SIZE = 2**31 - 1

Axes = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Definition:
    """A sweep that can be run: everything that decides what is measured. A run can be resumed with an equal definition."""

    title: str
    cells: tuple[Cell, ...]
    backends: tuple[str, ...]
    named: bool
    """Whether the backends were named by the caller, so that each of them must be able to run."""
    threads: int
    budget_s: float
    weights_file: str | None = None
    digests: tuple[tuple[str, str], ...] = ()
    """(name, digest) of the files that backends and weights come from."""

    @property
    def baseline(self) -> str:
        """The backend that a row's ratio compares with: the first."""
        return self.backends[0]

    def to_json(self) -> str:
        """The definition as text, the same for equal definitions."""
        return json.dumps(
            {
                "title": self.title,
                "backends": self.backends,
                "baseline": self.baseline,
                "threads": self.threads,
                "budget_s": self.budget_s,
                "weights_file": self.weights_file,
                "digests": dict(self.digests),
                "cells": [cell.columns() for cell in self.cells],
            },
            sort_keys=True,
        )

    def hash(self) -> str:
        """Digest of the definition."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


@dataclass(frozen=True)
class Sweep:
    """The contents of a TOML file."""

    title: str
    backends: tuple[str, ...]
    budget_s: float | None
    grids: tuple[Axes, ...]
    is_preset: bool


def preset_names() -> list[str]:
    """The presets that come with the project, sorted."""
    return sorted(
        p.name.removesuffix(".toml")
        for p in files("lstm_parity.harness").joinpath("presets").iterdir()
        if p.name.endswith(".toml")
    )


def load_sweep(name: str) -> Sweep:
    """A preset by name, or a TOML file by path. Raises CallError, with file, line and the nearest right word."""
    if name in preset_names():
        return _parse(
            files("lstm_parity.harness").joinpath("presets", name + ".toml").read_text(encoding="utf-8"), name, is_preset=True
        )
    path = Path(name)
    if path.suffix != ".toml":
        near = get_close_matches(name, preset_names(), n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise CallError(f"unknown preset {name!r}: {guess}Presets: {', '.join(preset_names())}; or a file that ends in .toml")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CallError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}") from error
    return _parse(text, str(path), is_preset=False)


def _parse(text: str, name: str, *, is_preset: bool) -> Sweep:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CallError(f"{name} is not TOML: {error}") from error

    def fail(key: str, what: str, table: int | None = None) -> CallError:
        return CallError(f"{name}, line {_line(text, key, table)}: {what}")

    known = ("title", "backends", "budget", "grid")
    for key in data:
        if key not in known:
            raise fail(key, _unknown(key, (*known, *AXES)))
    title = data.get("title", name)
    if not isinstance(title, str):
        raise fail("title", f"title must be text, not {title!r}")
    backends = data.get("backends", list(DEFAULT_BACKENDS))
    if not isinstance(backends, list) or not backends or not all(isinstance(b, str) for b in backends):
        raise fail("backends", f'backends must be a list of names such as ["numpy"], not {backends!r}')
    budget = data.get("budget")
    is_number = isinstance(budget, (int, float)) and not isinstance(budget, bool)
    if budget is not None and not (is_number and 0 < budget < float("inf")):
        raise fail("budget", f"budget must be a number of seconds above 0, not {budget!r}")
    tables = data.get("grid")
    if not isinstance(tables, list) or not tables or not all(isinstance(t, dict) for t in tables):
        raise fail("grid", "at least one [[grid]] table is needed")
    grids = []
    for number, table in enumerate(tables):
        axes = {}
        for key, value in table.items():
            if key not in AXES:
                raise fail(key, _unknown(key, AXES), number)
            try:
                axes[key] = axis_values(key, value if isinstance(value, list) else [value])
            except CallError as error:
                raise fail(key, str(error), number) from None
        grids.append(axes)
    return Sweep(title, tuple(dict.fromkeys(backends)), None if budget is None else float(budget), tuple(grids), is_preset)


def _unknown(key: str, known: Sequence[str]) -> str:
    near = get_close_matches(key, known, n=1, cutoff=0.4)
    return f"unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}")


def _line(text: str, key: str, table: int | None) -> int:
    """The number, from 1, of the line that sets `key` in the table-th [[grid]] (None: anywhere)."""
    seen = -1
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        seen += bare.replace(" ", "").startswith("[[grid]]")
        word = bare.partition("=")[0].strip().strip("[]\"' ")
        if word == key and (table is None or seen == table):
            return number
    return 1


def axis_values(axis: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """The values of an axis, checked. Raises CallError for one that the axis cannot have."""
    if not values:
        raise CallError(f"{axis} has no values")
    column = columns_of(Cell)[axis]
    for value in values:
        if column.type is int:
            minimum = 0 if axis == "proj_size" else 1
            if axis == "input_size" and value == "hidden":
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise CallError(f"{axis} must be an integer, not {value!r}")
            if not minimum <= value <= MAX_SIZE:
                raise CallError(f"{axis} must be in {minimum}..{MAX_SIZE}, not {value}")
        elif column.type is bool:
            if not isinstance(value, bool):
                raise CallError(f"{axis} must be true or false, not {value!r}")
        elif value not in column.choices:
            near = get_close_matches(str(value), column.choices, n=1)
            guess = f"; did you mean {near[0]!r}?" if near else ""
            raise CallError(f"{axis} must be one of {', '.join(column.choices)}, not {value!r}{guess}")
    return tuple(dict.fromkeys(values))


def cells_of(grids: Sequence[Axes], given: Axes) -> tuple[Cell, ...]:
    """All combinations of each grid's axes, `given` in place of the grid's own; each cell once, in the order of the grids."""
    cells: dict[Cell, None] = {}
    for grid in grids:
        axes = {**grid, **given}
        for values in itertools.product(*axes.values()):
            chosen = dict(zip(axes, values, strict=True))
            if chosen.get("input_size") == "hidden":
                chosen["input_size"] = chosen.get("hidden_size", Cell().spec.hidden_size)
            try:
                cells[Cell.of(**chosen)] = None
            except ValueError as error:
                raise CallError(str(error)) from None
    return tuple(cells)


def in_place_of(title: str, given: Axes) -> str:
    """The title of a sweep with other values of some axes: what precedes its colon, and these values."""
    changes = [f"{axis} {', '.join(map(str, values))}" for axis, values in given.items()]
    return f"{title.partition(':')[0]} with {'; '.join(changes)}" if changes else title


def with_weights(sweep: Sweep, given: Axes, model: Mapping[str, Any], name: str) -> tuple[Cell, ...]:
    """The cells with the model's sizes in place of a preset's. Raises CallError for a size that contradicts the model.

    model: MODEL_AXES -> value. It replaces the sizes of a preset; sizes that the user gave must agree.
    """
    checked = [given] if sweep.is_preset else [given, *sweep.grids]
    for axes in checked:
        for axis, values in axes.items():
            allowed = (model.get(axis), "hidden" if model["input_size"] == model["hidden_size"] else None)
            if axis in model and any(value not in allowed for value in values):
                raise CallError(f"{axis} {', '.join(map(str, values))} contradicts {name}, which has {axis} {model[axis]}")
    grids = [{axis: values for axis, values in grid.items() if axis not in MODEL_AXES} for grid in sweep.grids]
    given = {axis: values for axis, values in given.items() if axis not in MODEL_AXES}
    cells = cells_of(grids, {**given, **{axis: (value,) for axis, value in model.items()}})
    return tuple(replace(cell, weights=name) for cell in cells)


def file_digests(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """(name, digest) of those names (FILE, FILE:Class, FILE#name) that are files: a changed file makes another sweep."""
    digests = []
    for name in names:
        for part in (name, name.rpartition(":")[0], name.rpartition("#")[0]):
            path = Path(os.path.expanduser(part))  # noqa: PTH111  Path.expanduser raises for an unknown user
            if path.name and path.is_file():
                with path.open("rb") as file:
                    digests.append((name, hashlib.file_digest(file, "sha256").hexdigest()))
                break
    return tuple(digests)
