"""The `mefuse` command: which subcommands there are, and the one place that catches errors.

A command's module is imported when its name is asked for, and everything heavy inside its body, so
that help and version stay quick.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from mefuse import __version__
from mefuse.cli import streams
from mefuse.errors import MefuseError

# Click itself exits 2 on a usage error.
EXIT_FAILED, EXIT_PARTLY_FAILED, EXIT_INTERRUPTED = 1, 3, 130
SHOW_TRACEBACK = "mefuse.traceback"  # key of the context's meta, set by -vv

_COMMANDS = {  # name -> "module:command" and what it does, in the order of the help
    "fuse": ("mefuse.cli.fuse:fuse", "Fuse the frames of one bracket into one picture."),
    "batch": ("mefuse.cli.batch:batch", "Find the brackets in files and folders, and fuse each."),
    "group": ("mefuse.cli.group:group", "Only find the brackets; nothing is fused."),
    "report": ("mefuse.cli.report_page:report_page", "Make one HTML page of a batch to look at."),
    "preview": ("mefuse.cli.preview:preview", "Show what one bracket is made of, quickly."),
    "sample": ("mefuse.cli.sample:sample", "Write a sample bracket to try fusing with."),
    "info": ("mefuse.cli.info:info", "Show versions, kernels, devices, models and weights."),
    "evaluate": ("mefuse.cli.evaluate:evaluate", "Measure how good fused pictures are."),
    "bench": ("mefuse.cli.bench:bench", "Measure time and memory of fusing, beside OpenCV's."),
    "synth": ("mefuse.cli.synth:synth", "Write moving synthetic brackets with ground truth."),
}
_SYSTEM_LIBRARY = re.compile(r"\blib[\w+.-]+\.so[\w.]*")


class _Face(click.Group):
    """A group that imports its commands late and turns errors into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands' names."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, imported now."""
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with; says how to fuse where it is a file's name."""
        if args[0] not in _COMMANDS and Path(args[0]).suffix and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}. To fuse files: mefuse fuse FRAMES... -o OUT")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Lists the commands for the help; imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, does) for name, (_, does) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; an error raised on purpose becomes one line and exit code 1."""
        try:
            return super().invoke(ctx)
        except (MefuseError, ImportError, OSError) as error:
            if isinstance(error, OSError) and not _names_a_file(error):
                raise  # of standard output: see `main`
            if ctx.meta.get(SHOW_TRACEBACK):
                traceback.print_exc()
            raise click.ClickException(_message(error)) from error

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        """Runs the command line and exits the process with its code."""
        extra["standalone_mode"] = False
        streams.open_closed()
        try:
            code = super().main(args, *rest, **extra)
            sys.stdout.flush()
        except click.exceptions.Exit as exit_:
            code = exit_.exit_code
        except click.ClickException as error:  # among them usage errors, which exit 2
            streams.drop_unwritable()
            error.show()
            code = error.exit_code
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            code = EXIT_INTERRUPTED
        except OSError as error:  # of standard output: a file's are told by `invoke`
            if not isinstance(error, BrokenPipeError):  # a reader that has seen enough (`| head`)
                click.echo(f"Error: {streams.unwritable(error)}", err=True)
            streams.silence()
            code = EXIT_FAILED
        sys.exit(code if isinstance(code, int) else 0)


@click.command(
    cls=_Face,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", message="mefuse %(version)s")
def main() -> None:
    """Fuse bracketed exposures into one photograph.

    \b
    Examples:
      mefuse fuse IMG_1.jpg IMG_2.jpg IMG_3.jpg -o fused.png
      mefuse fuse *.NEF -o fused.tiff --depth 16
      mefuse COMMAND --help
    """


def one_line(text: str) -> str:
    """Text as one line that no terminal obeys: what cannot be shown in a name is escaped."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in plain)


def _names_a_file(error: OSError) -> bool:
    """Whether it is about a file: raised on purpose, or by the system where no step expected it."""
    return isinstance(error, MefuseError) or error.filename is not None


def _message(error: MefuseError | ImportError | OSError) -> str:
    """One sentence; where a shared library of the system is missing, what to install.

    Raises:
        ImportError: the error as it was, where it is about anything else.
    """
    if isinstance(error, MefuseError):
        return one_line(str(error))
    if isinstance(error, OSError):
        name, reason = os.fsdecode(error.filename), (error.strerror or str(error)).lower()
        return one_line(f"{name}: cannot be used ({reason}); check its name and its permissions")
    found = _SYSTEM_LIBRARY.search(str(error))
    if found is None:
        raise error
    return (
        f"the system's library {found[0]} is missing, which OpenCV needs; "
        "on Debian and Ubuntu: apt-get install libgl1 libglib2.0-0"
    )
