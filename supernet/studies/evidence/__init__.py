"""Several searches over several seeds, next to rows that need no search, in one table.

plan (which searches) -> run (subprocesses, resumable) -> evidence.json -> page (Markdown).
"""
