"""The socket, the pages, and the control endpoints for tests.

Invariant: nothing from a request or a row becomes markup, and only allowed hosts are served.
"""
