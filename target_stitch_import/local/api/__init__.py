"""From a request to its answer.

Law: every rule is restated from the documentation of the Import API, none is taken from the client.
"""
