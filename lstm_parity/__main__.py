"""`python -m lstm_parity ...` is `lstm-parity ...`, in a checkout that is not installed."""

import sys

from .harness.cli import main

if __name__ == "__main__":
    sys.exit(main())
