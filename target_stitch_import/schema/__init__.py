"""What a record must be, from the schema its tap declares.

Law: a quick check never accepts what the exact check refuses.
"""
