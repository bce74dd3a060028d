"""What a fault is. It is declared once, and used twice: as a mutant that the suite must find, and as a hint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lstm_parity.backends import Capabilities, LSTMSpec

from .lstm import CorrectLSTM

SIXTEEN = ("float16", "bfloat16")
BIDIRECTIONAL = {"bidirectional": True}
DEEP = {"num_layers": 3}
DEEP_BIDIRECTIONAL = DEEP | BIDIRECTIONAL
PROJECTED = {"projection": True}
PEEPHOLE = {"peephole": True}
LENGTHS = {"lengths": True}
EMPTY_ROWS = {"lengths": True, "zero_lengths": True}
TRAINED = {"gradients": True}


@dataclass(frozen=True)
class Fault:
    """One way to be wrong."""

    name: str
    """In kebab-case, unique."""
    family: str
    """What goes wrong: the name of its module in `table`."""
    sentence: str
    """As it follows "matches exactly if"."""
    lstm: type[CorrectLSTM]
    """CorrectLSTM with the fault."""
    needs: Mapping[str, Any] = field(default_factory=dict)
    """Promises without which it cannot be seen, as Capabilities takes them."""
    precisions: tuple[str, ...] = ("float32",)
    """Those in which it is a mutant."""
    suffix: str = "-{}"
    """What a mutant's name has after the fault's, for a precision other than the plain one."""
    after: str = ""
    """The real defect that it is named after, "project number", or ""."""
    hint: bool = True
    """Whether its results depend on the call alone, so that another backend's can be compared with them."""

    @property
    def backward(self) -> bool:
        """Whether the forward is right, and the gradients are not."""
        return "gradients" in self.needs

    def applies(self, spec: LSTMSpec, *, lengths: bool) -> bool:
        """Whether a problem with this spec, and with lengths or without, can show it."""
        features = {
            "bidirectional": spec.bidirectional,
            "projection": spec.proj_size > 0,
            "peephole": spec.peephole,
            "no_bias": not spec.bias,
            "lengths": lengths,
        }
        return all(features.get(name, True) for name in self.needs) and (spec.num_layers > 1 or "num_layers" not in self.needs)


@dataclass(frozen=True)
class Mutant:
    """A backend whose verdict is known beforehand."""

    name: str
    family: str
    """That of its fault; "independent" for programs of their own; "right" for those that must not be flagged."""
    what: str
    """What is wrong, or different, in one sentence."""
    backend: type[Any]
    """An LSTMBackend."""
    after: str = ""


def fault(
    family: str,
    name: str,
    sentence: str,
    *,
    base: type[CorrectLSTM] = CorrectLSTM,
    needs: Mapping[str, Any] | None = None,
    also: tuple[str, ...] = (),
    behind: tuple[str, ...] = (),
    after: str = "",
    hint: bool = True,
    **methods: Callable[..., Any],
) -> Fault:
    """A fault: CorrectLSTM (or `base`, one with a fault already) with these methods in place of its own.

    It is a mutant in float32, under its name, and in each precision of `also`, under its name and the precision's; or, with
    behind, in each of these precisions, under the name "<name>-behind-<precision>".
    """
    unknown = [method for method in methods if not hasattr(CorrectLSTM, method)]
    if unknown:
        raise ValueError(f"{name}: CorrectLSTM has no {', '.join(unknown)}")
    lstm = type(class_name(name), (base,), {"__doc__": sentence, "__module__": __name__, **methods})
    precisions, suffix = (behind, "-behind-{}") if behind else (("float32", *also), "-{}")
    return Fault(name, family, sentence, lstm, needs or {}, precisions, suffix, after, hint)


def class_name(name: str) -> str:
    """PascalCase of kebab-case."""
    return "".join(part.capitalize() for part in name.split("-"))


def mutants_of(found: Fault) -> tuple[Mutant, ...]:
    """The fault in each of its precisions, with no promise that it does not need."""
    made = []
    for precision in found.precisions:
        plain = precision == "float32" and found.suffix == "-{}"
        name = found.name if plain else found.name + found.suffix.format(precision)
        what = found.sentence if plain else f"{found.sentence}, {'in' if found.suffix == '-{}' else 'behind'} {precision}"
        capabilities = Capabilities(precisions=frozenset({precision}), **found.needs)
        backend = type(class_name(name), (found.lstm,), {"__doc__": what, "capabilities": capabilities})
        made.append(Mutant(name, found.family, what, backend, found.after))
    return tuple(made)
