"""Delivers one batch: attempts, verdicts on their responses, waits and splits.

Invariant: a message is settled only by a complete response to the request that carried it, or once
it is in the dead-letter file.
"""
