"""Reports a run to people and programs: log, live line, metrics, summary and page.

Invariant: reports make no decisions, and contain neither the token nor record values.
"""
