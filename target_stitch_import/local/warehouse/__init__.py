"""Loads accepted rows as a destination would.

Invariant: a value is loaded digit for digit, or its row is rejected with a reason.
"""
