"""Decides which messages are sent together, and which state may be written.

Invariant: per stream, read = acknowledged + set aside + in flight + buffered, at every moment.
"""
