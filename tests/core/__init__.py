"""The pure packages: no network, no threads, no waiting."""
