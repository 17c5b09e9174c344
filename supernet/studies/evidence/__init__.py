"""Several searches over several seeds and data sets, next to rows that need no search, on one page.

plan (which searches) -> run (subprocesses side by side, resumable) -> records (evidence.json) ->
page (Markdown with tables and sentences) and summary (the few numbers for a first page).
"""
