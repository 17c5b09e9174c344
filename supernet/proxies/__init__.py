"""Scores that need no training.

`registry` has the scores of one cell, one pure function per file; they need torch. `ensemble` has
the weighted sums of their ranks, and `free_scores` the scores of all cells that ship with this
package; both need none.
"""
