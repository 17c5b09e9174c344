"""Fused operators for the mixed cell; see mixed_op.py."""
