"""Networks that `benchmarks/peers.py` runs side by side."""
