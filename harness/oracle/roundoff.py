"""Roundoffs of each precision, on which the certificate and the tolerance are based."""

from __future__ import annotations

from dataclasses import dataclass

OWN = 2.0**-53
"""Roundoff of float64, in which the checks themselves compute."""


@dataclass(frozen=True)
class Roundoff:
    """Relative errors of single operations."""

    arithmetic: float
    """u, of a sum, a product, an activation's unit in the last place."""
    storage: float
    """u_s, of what is written to y, a state or a gradient."""
    inside: float
    """e, of intermediates that may be kept in the storage dtype; 0 where they may not."""
    operands: float
    """u_m, of the operands of matrix products."""
    tiny: float
    """Absolute error of a result that underflows: float16 has subnormals everywhere, the others may flush them to zero."""


ROUNDOFF = {
    "float64": Roundoff(2.0**-53, 2.0**-53, 0.0, 0.0, 2.0**-1022),
    "float32": Roundoff(2.0**-24, 2.0**-24, 0.0, 0.0, 2.0**-126),
    # tensor cores given float32 operands drop the last 13 bits: truncation, twice the error of rounding
    "tf32": Roundoff(2.0**-24, 2.0**-24, 0.0, 2.0**-10, 2.0**-126),
    "float16": Roundoff(2.0**-24, 2.0**-11, 2.0**-11, 0.0, 2.0**-24),
    "bfloat16": Roundoff(2.0**-24, 2.0**-8, 2.0**-8, 0.0, 2.0**-126),
}


def gamma(terms: int, u: float) -> float:
    """k u / (1 - k u): relative error of a sum of k terms in any order (Higham, Accuracy and Stability, lemma 3.1)."""
    return terms * u / (1 - terms * u) if terms * u < 1 else float("inf")
