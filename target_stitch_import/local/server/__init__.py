"""The socket, the pages, and the controls for tests.

Law: nothing from a request or a row is markup, and only allowed hosts are answered.
"""
