"""What people see on a terminal: progress bars, tables, and JSON where a program reads."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

Step = Callable[[int, int], None]  # (done, in all)


@contextlib.contextmanager
def progress(title: str) -> Iterator[Step]:
    """A bar on a terminal, silence in a pipe."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout; as wide as its content in a pipe."""
    console = Console() if sys.stdout.isatty() else Console(width=160)
    view = Table(*columns, title=title or None, title_justify="left")
    for row in rows:
        view.add_row(*(str(cell) for cell in row))
    console.print(view)


def as_json(value: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def say(line: str = "") -> None:
    """One line on stdout."""
    typer.echo(line)


def warn(line: str) -> None:
    """One line on stderr, for what did not stop the work."""
    typer.echo(f"kindred: {line}", err=True)
