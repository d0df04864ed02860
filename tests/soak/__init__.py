"""Soak tests, which take too long for the suite. Each module is a command."""
