"""Measurements behind the README's figures; run from the repository: `python -m benchmarks.postprocess`."""
