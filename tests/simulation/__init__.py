"""The whole delivery in simulated time, driven by one seed: see `world` for how it goes together.

`python -m tests.simulation SEED` replays a seed and tells every step.
"""
