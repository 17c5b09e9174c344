"""Robust one-shot architecture search over the NAS-Bench-201 cell, in rooms.

Arrows of import point down only (tests/test_imports.py):

    studies     many cells or many runs compared
    runs        a run directory: started, stopped, resumed, recorded
    search      train the supernet's weights and alpha, read a cell from them
    train       train one cell's network alone, attack it, export it
    report      everything made for eyes
    proxies     scores of a cell that need no training
    nets        the supernet, one cell's network, and their folded forms
    benchmark   what NAS-RobBench-201 knows of cells
    attacks     pure functions that attack a model
    data        images in, tensors and batches out
    cells       one cell: string, code, index, class and cost

Nothing is imported here: the benchmark tools start without torch.
"""
