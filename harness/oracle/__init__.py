"""What a right result is, and how far from it rounding may lead."""
