"""`stitch-import`: the command-line tool, one file per topic; commands import late, to start fast.

A new command is a function with `click.command()` in the file of its topic, or in a new one, and an
entry at the end of this module.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any, NoReturn

import click

from target_stitch_import.errors import ConfigurationError, statuses_help
from target_stitch_import.interrupts import INTERRUPTED_STATUS
from target_stitch_import.names import DISTRIBUTION, TOOL
from target_stitch_import.stdout import ReportsStdoutErrors
from target_stitch_import.toolbox.common import reporting_errors, show
from target_stitch_import.toolbox.connect_command import source, token
from target_stitch_import.toolbox.init_command import init
from target_stitch_import.toolbox.local_command import serve, tables
from target_stitch_import.toolbox.push_command import push, validate
from target_stitch_import.toolbox.replay_command import replay
from target_stitch_import.toolbox.report_command import report
from target_stitch_import.toolbox.service_command import check, status

_MORE = f"""{statuses_help("done", str(INTERRUPTED_STATUS))}

\b
Examples:
  stitch-import init
  stitch-import serve --database warehouse.duckdb
  stitch-import check -c config.json
  stitch-import COMMAND --help
"""


# Before 8.2, click itself shows the help and exits with 0.
_NO_ARGUMENTS: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())


class _Tool(ReportsStdoutErrors, click.Group):
    """A group that exits with the same statuses as `target-stitch-import`."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Run a command and exit; never a traceback."""
        options["standalone_mode"] = False
        try:
            status = super().main(*args, **options)
        except click.ClickException as error:
            if isinstance(error, _NO_ARGUMENTS):
                # Without arguments, the help is the result.
                with reporting_errors():
                    show(error.format_message())
                sys.exit(0)
            with suppress(OSError):  # the status counts, also where nobody reads stderr
                error.show()
            sys.exit(ConfigurationError.exit_status)
        except click.Abort:
            sys.exit(INTERRUPTED_STATUS)
        except Exception as error:  # noqa: BLE001 - the last resort: no value may get out
            from target_stitch_import.cli import report_unexpected_error  # noqa: PLC0415 - rarely

            sys.exit(report_unexpected_error(error))
        sys.exit(status if isinstance(status, int) else 0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they were added."""
        del ctx
        return list(self.commands)


@click.group(cls=_Tool, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_MORE)
@click.version_option(package_name=DISTRIBUTION, prog_name=TOOL)
def main() -> None:
    """Work with Stitch's Import API, with Stitch Connect, or with a local emulation of both."""


for _command in (init, status, check, validate, push, replay, source, token, report, tables, serve):
    main.add_command(_command)
