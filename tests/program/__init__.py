"""Settings, command line, packaging, and the programs around the target."""
