"""Simulates the whole delivery in virtual time, driven by one seed; `world` puts it together.

`python -m tests.simulation SEED` replays a seed and logs every step.
"""
