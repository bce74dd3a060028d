"""Which results are right: the equations, and how far rounding may move a result away from them."""
