"""Renders a run's summary as one HTML page that needs no network and no other file.

Invariant: all text from the summary is escaped, because names in it come from others. What did not
happen is not shown.
"""
