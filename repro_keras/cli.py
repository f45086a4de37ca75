"""The commands: `repro-keras COMMAND`, or `python -m repro_keras COMMAND`.

Exit codes are those of `diff`: 0 the same, 1 different, 2 could not tell, or trouble.
"""

from repro_keras._src import quiet  # before all that takes its time

# isort: split
import errno
import io
import os
import sys
import traceback

import click

from repro_keras._src.commands import (
    diffs,
    digests,
    exporting,
    reporting,
    running,
    scripts,
    stored,
    verifying,
)
from repro_keras._src.commands.common import INTERRUPTED, TROUBLE, note
from repro_keras._src.errors import ReproError
from repro_keras._src.runs import terminal
from repro_keras._src.version import __version__

quiet.over()


class _Commands(click.Group):
    """Commands whose errors are one line, with the exit code for trouble."""

    def invoke(self, ctx: click.Context):
        _open_streams()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # what cannot be shown there is no trouble
        try:
            return super().invoke(ctx)
        except ReproError as error:
            note(error)
            sys.exit(TROUBLE)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # whoever reads has seen enough; click ends quietly
            note(error)
            sys.exit(TROUBLE)
        except (KeyboardInterrupt, click.Abort) as error:
            if isinstance(error.__context__, EOFError):  # Ctrl-D at a question
                note("nobody answered")
                sys.exit(TROUBLE)
            terminal.clear()
            note("interrupted")
            sys.exit(INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception:  # Python's exit code for it would say "different"
            traceback.print_exc()
            note(
                "this is a fault of repro_keras itself, and nothing was compared. Please report "
                "it with what stands above."
            )
            sys.exit(TROUBLE)


def _open_streams() -> None:
    """Gives a process that was started without standard streams (`>&-`) empty ones.

    They take the lowest descriptors, so that no file that is opened later becomes the output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - until the end


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="repro-keras")
def main() -> None:
    """Keras, with results that come out the same again."""


@main.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print a script that completes commands and runs: eval "$(repro-keras completion bash)"."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "repro-keras", "_REPRO_KERAS_COMPLETE").source())


for _command in (
    digests.digest_command,
    running.run_command,
    verifying.verify_command,
    diffs.diff_command,
    exporting.export_command,
    reporting.report_command,
    running.resume_command,
    stored.ls_command,
    stored.show_command,
    stored.gc_command,
    scripts.migrate_command,
    scripts.doctor_command,
):
    main.add_command(_command)
