"""What each precision may lose at each place: the roundoffs that the certificate and the tolerance both start from."""

from __future__ import annotations

from dataclasses import dataclass

OWN = 2.0**-53
"""Roundoff of float64, in which the checks themselves compute."""


@dataclass(frozen=True)
class Roundoff:
    """Relative errors of single operations.

    arithmetic: u, of a sum, a product, an activation's unit. storage: u_s, of what is written to y, to a state, to a gradient.
    inside: e, of intermediates that may be kept in the storage dtype; 0 where they may not. operands: u_m, of the operands of
    matrix products. tiny: absolute error of a result that underflows; float16 has subnormals everywhere, the others may flush
    them to zero.
    """

    arithmetic: float
    storage: float
    inside: float
    operands: float
    tiny: float


ROUNDOFF = {
    "float64": Roundoff(2.0**-53, 2.0**-53, 0.0, 0.0, 2.0**-1022),
    "float32": Roundoff(2.0**-24, 2.0**-24, 0.0, 0.0, 2.0**-126),
    # tensor cores that are fed raw float32 drop its last 13 bits: truncation, twice the error of rounding
    "tf32": Roundoff(2.0**-24, 2.0**-24, 0.0, 2.0**-10, 2.0**-126),
    "float16": Roundoff(2.0**-24, 2.0**-11, 2.0**-11, 0.0, 2.0**-24),
    "bfloat16": Roundoff(2.0**-24, 2.0**-8, 2.0**-8, 0.0, 2.0**-126),
}


def gamma(terms: int, u: float) -> float:
    """k u / (1 - k u): relative error of a sum of k terms in any order (Higham, Accuracy and Stability, lemma 3.1)."""
    return terms * u / (1 - terms * u) if terms * u < 1 else float("inf")
