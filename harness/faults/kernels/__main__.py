"""`python -m lstm_parity.harness.faults.kernels`: plants every fault, see harness/commands/kernel_faults.py."""

import runpy

# by name: the command uses the property suite, which uses the faults
runpy.run_module("lstm_parity.harness.commands.kernel_faults", run_name="__main__")
