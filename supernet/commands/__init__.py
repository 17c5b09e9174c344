"""The commands, one module each: parse, call, print. `table.py` lists them."""
