"""Why a result is wrong: what would explain it, and where it is off."""
