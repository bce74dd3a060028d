"""`python -m harness ...` is `lstm-parity ...`, in a checkout that is not installed."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
