"""Validates records against the schemas that taps declare.

Invariant: a quick check never accepts what the exact check refuses.
"""
