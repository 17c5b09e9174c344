"""What NAS-RobBench-201 knows of cells: a table and functions of it. No torch here."""
