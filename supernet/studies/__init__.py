"""Many cells or many runs are compared here."""
