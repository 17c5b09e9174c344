"""Ranking cells by scores: choose cells, score them one by one, judge the scores by the table.

`config` has the settings, `sample` chooses the cells, `scorers` score one, `store` keeps the scores
in a resumable file, `judge` makes the table of correlations, `figures` draws it, and `run` does all
of this in order.
"""
