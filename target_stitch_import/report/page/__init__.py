"""A run's summary as one HTML page that needs nothing else: no network, no other file.

Invariant: whatever text comes from the summary is escaped, as names are other people's; nothing is drawn
for what did not happen.
"""
