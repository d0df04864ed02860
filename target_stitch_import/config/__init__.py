"""The settings: their definitions, checks and sources.

Invariant: an invalid setting is refused by name before anything is read from stdin, and no message
contains a secret.
"""
