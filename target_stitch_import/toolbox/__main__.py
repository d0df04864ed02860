"""Runs `stitch-import` as `python -m target_stitch_import.toolbox`."""

from target_stitch_import.names import TOOL
from target_stitch_import.toolbox import main

main(prog_name=TOOL)
