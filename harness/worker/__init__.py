"""A backend in a process of its own: started, asked, answered for, and ended."""
