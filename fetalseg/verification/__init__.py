"""Do all engines find the same? The frames, the answers to them, the differences and what is allowed."""
