"""Is B slower than A? Two versions in one run (`duel`), two finished runs (`compare`), and the error rates of both."""
