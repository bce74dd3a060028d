"""The precision audit: whether the internal precision is the promised one."""
