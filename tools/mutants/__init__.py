"""Mutation tests: each mutation breaks a guarantee of the package, and must make a test fail.

`make mutants` runs all of them, `python -m tools.mutants [WORD...]` those whose name or module has
one of the words. There is a file of mutations for each package; `tests.toml` has their tests.
"""
