"""Is B slower than A? Two versions in one run (`duel`), two finished runs (`compare`), and how often both are mistaken."""
