"""Many cells or many runs compared."""
