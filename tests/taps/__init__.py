"""Real taps over real databases, each piped into the target as a user does it."""
