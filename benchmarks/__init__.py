"""Benchmarks of sparse_fourier: recovery of the components, and speed, beside rivals in the same run."""
