"""Deliver any Singer tap's data to Stitch through the Import API."""
