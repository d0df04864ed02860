"""What a record must be, from the schema its tap declares.

Invariant: a quick check never accepts what the exact check refuses.
"""
