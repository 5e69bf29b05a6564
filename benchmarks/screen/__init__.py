"""Parts of `benchmarks.on_screen`."""
