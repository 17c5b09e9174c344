"""The study of short trainings: how long, under which attack, by which measure they judge cells.

`config` has what is trained, `judged` what it says; scripts/judge_trainings.py is its door.
"""
