"""A backend run in a process of its own, or in this one."""
