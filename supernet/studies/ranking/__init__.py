"""Ranking cells by scores: choose cells, score them one by one, judge the scores by the table.

`config` what is asked, `sample` which cells, `scorers` one cell's scores, `store` the resumable
file, `run` all of it in order, `judge` the table of correlations, `figures` its pictures.
"""
