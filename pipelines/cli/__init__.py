"""The command `kindred`: every command's options, and nothing of its work."""

import logging
import sys
from contextlib import suppress
from typing import Any, NoReturn

import typer

from features.code_cache import keep_in
from features.errors import BadInput, BadSetting, KindredError
from features.settings import from_environment
from pipelines.cli import benchmark, benchmarks, data, live, models, run

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, help=__doc__)
for part in (run, live, data, models):
    app.add_typer(part.app)
benchmark.app.add_typer(benchmarks.app)
app.add_typer(benchmark.app, name="benchmark")
INTERRUPTED = 130  # what Typer makes of Ctrl-C


def main() -> None:
    """Run the command; 0 done, 1 failed with one line on stderr, 2 wrong usage."""
    logging.getLogger("kindred").addHandler(logging.NullHandler())  # errors are told once, in one line
    with suppress(BadSetting):  # the command itself says so
        keep_in(from_environment().data)
    try:
        status = app(standalone_mode=False)
    except BadInput as error:
        _fail(f"{error.field}: {error}" if error.field and error.field not in str(error) else str(error), 2)
    except KindredError as error:
        _fail(str(error), 1)
    except OSError as error:
        _fail(": ".join(str(part) for part in (error.filename, error.strerror or error) if part), 1)
    except Exception as error:
        _usage(error)
        raise
    if status == INTERRUPTED:
        _fail("stopped", 1)
    sys.exit(status if isinstance(status, int) else 0)


def _usage(error: Any) -> None:
    """Click's own complaints about options end as wrong usage; anything else is ours to see."""
    if hasattr(error, "format_message"):
        _fail(error.format_message(), 2)


def _fail(message: str, status: int) -> NoReturn:
    typer.echo(f"kindred: {message}", err=True)
    sys.exit(status)
