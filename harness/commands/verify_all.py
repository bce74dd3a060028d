"""`python -m lstm_parity.harness.commands.verify_all`: the suite at full depth.

Over every registered backend; writes verdicts.md and verdicts.json.

What cannot run here is UNVERIFIED, in the page's first lines. Exit code 1 if any verdict is FAIL, else 0.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from lstm_parity.backends import backend_names

from ..api.verify import database_folder
from ..machine.host import cpu_count, fingerprint
from ..verify.checks import CHECKS
from ..verify.formatting import as_json, as_markdown
from ..verify.results import Options
from .verify import verify_all

FULL_EXAMPLES = 100


def main() -> int:
    """Verify, write, and say where."""
    parser = argparse.ArgumentParser(prog="python -m lstm_parity.harness.commands.verify_all", description=__doc__)
    parser.add_argument(
        "--examples", type=int, default=FULL_EXAMPLES, help=f"drawn problems a check (default: {FULL_EXAMPLES})"
    )
    parser.add_argument("--seed", type=int, default=0, help="which problems are drawn (default: 0)")
    parser.add_argument("--out", type=Path, default=Path(), help="folder of verdicts.md and verdicts.json (default: here)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    options = Options(
        examples=arguments.examples,
        seed=arguments.seed,
        threads=cpu_count(),
        folder=arguments.out,
        database=database_folder(Path()),
        timeout_s=600,
    )
    results = list(verify_all(backend_names(), CHECKS, options, {}))
    command = shlex.join(["python", "-m", "lstm_parity.harness.commands.verify_all", *sys.argv[1:]])
    machine = fingerprint()
    (arguments.out / "verdicts.json").write_text(as_json(results, machine, options), encoding="utf-8")
    (arguments.out / "verdicts.md").write_text(as_markdown(results, machine, command), encoding="utf-8")
    print(f"{arguments.out / 'verdicts.md'}, {arguments.out / 'verdicts.json'}")
    return int(any(result.verdict == "FAIL" for result in results))


if __name__ == "__main__":
    sys.exit(main())
