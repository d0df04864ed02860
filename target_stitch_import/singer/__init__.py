"""What a tap says: bytes in, numbered events out.

Law: however the same bytes are split into chunks, the same events come out.
"""
