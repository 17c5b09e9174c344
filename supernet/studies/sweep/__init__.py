"""Many cells are trained and measured, on one machine or many, and become a table of one's own.

`config` has the settings, `cells` reads which cells, `work` trains and measures one of them in a
worker, and `run` keeps the folder, the lines and the progress. `supernet.on_ray` starts the workers
and `supernet.benchmark.own_table` reads the lines.
"""
