"""The documentation is true, and agrees with the code."""
