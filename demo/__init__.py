"""What `make demo` runs: see run.py."""
