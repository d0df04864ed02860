"""A Singer target that delivers any tap's data to Stitch through the Import API."""
