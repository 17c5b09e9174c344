"""Train one cell's network alone, attack it, and write it to files."""
