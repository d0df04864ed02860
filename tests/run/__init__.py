"""The target as a process, against the local Import API."""
