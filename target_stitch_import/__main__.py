"""`python -m target_stitch_import` is `target-stitch-import`."""

from target_stitch_import.cli import main

if __name__ == "__main__":
    main()
