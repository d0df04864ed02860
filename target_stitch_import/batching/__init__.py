"""Decides which messages are sent together, and which state may be written.

Invariant: per stream, read = acknowledged + set aside + unsettled, at every moment.
"""
