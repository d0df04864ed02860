"""Commands for maintainers; the Makefile calls them."""
