"""What people and programs are told about a run.

Invariant: nothing here decides anything, and no token or record value is in what it says.
"""
