"""Tests of real taps on real databases, piped into the target as by a user."""
