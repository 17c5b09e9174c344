"""Reading, statistics and searches on the tables of NAS-RobBench-201 and of Jung et al."""
