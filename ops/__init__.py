"""The five candidate operators, the mixed edge and cell built from them, and their exact folding.

Read `space.py` (names and order), then `candidates.py`, `mixed.py`, `fold.py`. Nothing is imported
here, so that `ops.space` can be used without torch.
"""
