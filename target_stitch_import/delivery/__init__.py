"""How one batch gets through: tries, waits, splits, verdicts.

Law: nothing is settled but by a complete answer to the request that carried it.
"""
