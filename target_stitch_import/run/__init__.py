"""Where clock, threads, network and files are.

Invariant: the main thread alone touches the pipeline, and nothing blocks it but `poll`.
"""
