"""`stitch-import`: the tool for people, a file a topic. Commands import what they need as they run.

A new command is a function with `click.command()` in a file of its own, and a line here.
"""

from __future__ import annotations

import click

from target_stitch_import.toolbox.local_api import serve, tables
from target_stitch_import.toolbox.resend import replay
from target_stitch_import.toolbox.service import check, status


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="target-stitch-import")
def main() -> None:
    """Work with Stitch's Import API, or with a local one."""


for _command in (serve, tables, status, check, replay):
    main.add_command(_command)
