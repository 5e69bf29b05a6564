"""Non-maximum suppression, mask assembly and what ties them together, in NumPy, once for every engine."""
