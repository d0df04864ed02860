"""Parses the tap's output: bytes in, numbered events out.

Invariant: however the same bytes are split into chunks, the same events come out.
"""
