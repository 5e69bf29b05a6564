"""What `benchmarks/fps.py` is made of: stages, turns, intervals, tables."""
