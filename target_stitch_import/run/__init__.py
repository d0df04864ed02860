"""Where clock, threads, network and files are.

Law: the main thread alone touches the pipeline, and nothing blocks it but `poll`.
"""
