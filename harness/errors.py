"""The one exception that the command line turns into a line on standard error and exit code 2."""


class CallError(Exception):
    """The call cannot be carried out. The message is one line: what, where, how to mend it."""
