"""Several searches over several seeds, beside what needs no search, in one table.

plan (which searches) -> run (subprocesses, resumable) -> evidence.json -> page (Markdown).
"""
