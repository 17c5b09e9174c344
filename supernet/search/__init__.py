"""Train the supernet's weights and alpha, and read a cell from them."""
