"""Delivers one batch: attempts, verdicts on their responses, waits and splits.

Invariant: a message is settled only by an acknowledgement of the request that carried it, or once
it is in the dead-letter file.
"""
