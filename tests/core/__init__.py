"""The pure wings: no network, no threads, no waiting."""
