"""Robust one-shot architecture search over the NAS-Bench-201 cell.

Read `genotype.py`, `networks.py`, `search.py`. Nothing is imported here: the benchmark tools start
without torch.
"""
