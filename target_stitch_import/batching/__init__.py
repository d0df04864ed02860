"""What is sent together, and which state that earns.

Law: per stream, read = acknowledged + set aside + in flight + buffered, at every moment.
"""
