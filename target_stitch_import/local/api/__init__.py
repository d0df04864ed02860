"""The Import API without sockets: reads a request, checks it, and returns the answer.

Invariant: every rule is restated from the documentation of the Import API; none is taken from the
target's code.
"""
