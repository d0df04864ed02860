"""Mutations of the package: each breaks a guarantee, and must make a test fail.

`make mutants`, or `python -m tools.mutants [WORD...]` for those whose name or module has one of the
words. They are in a file for each wing, with the tests of which one must fail in `tests.toml`.
"""
