"""Tests of `stitch-import`."""
