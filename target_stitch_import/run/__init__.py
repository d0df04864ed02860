"""Runs the target: everything that uses the clock, threads, the network, files or signals.

Invariant: only the main thread uses the pipeline, and it waits only in `poll`.
"""
