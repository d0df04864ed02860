"""`stitch-import`, the tool for people."""
