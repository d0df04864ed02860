"""Soak tests: the same questions as in the suite, asked for longer. Each is a command."""
