"""Where the two ends of a worker's pipe find the classes of `lstm_parity.backends`.

A worker of `duel NAME@REVISION` has another revision of that package than its parent. The public names are the same in both,
the modules that define them need not be.
"""

from __future__ import annotations

PACKAGE = "lstm_parity.backends"


def by_public_name(module: str, name: str) -> tuple[str, str]:
    """The module and name under which to look up what a pickle calls module.name: the package itself for its public names."""
    if module.startswith(f"{PACKAGE}."):
        from lstm_parity import backends

        if name in backends.__all__:
            return PACKAGE, name
    return module, name
