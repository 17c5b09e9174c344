"""The supernet, one cell's own network, and the folded form of both."""
