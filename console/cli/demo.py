"""`fleet demo`: watch real rows leave a real PostgreSQL to simulated vendors, and see the account."""

import sys
from dataclasses import astuple, fields

import click
from rich.console import Console

from config.settings import load
from console.cli.speech import Exit, print_json, print_table, say
from console.demo.figures import Figures
from console.demo.load import Load
from console.demo.run import run


@click.command()
@click.option("--messages", default=3_000, show_default=True, type=click.IntRange(10, 1_000_000))
@click.option("--keep", is_flag=True, help="Stay up afterwards, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def demo(messages: int, keep: bool, as_json: bool) -> None:
    """Send a real load on every channel, with everything embedded and vendors that fail.

    Then the ledger is held against what the vendors counted. Exits 0 only when nothing was lost, duplicated or left
    unknown.
    """
    reports: list[bool] = []
    run(
        load().home / "demo",
        Load.of(messages),
        keep=keep,
        console=Console(stderr=True),
        report=lambda figures: reports.append(_report(figures, as_json=as_json)),
    )
    sys.exit(Exit.OK if all(reports) else Exit.FAILED)


def _report(figures: dict[str, Figures], *, as_json: bool) -> bool:
    """Print the account; return whether every promise was kept."""
    total = Figures()
    for of_channel in figures.values():
        total += of_channel
    columns = [field.name for field in fields(Figures)]
    if as_json:
        lines = {**figures, "total": total}
        print_json({name: dict(zip(columns, astuple(one), strict=True)) for name, one in lines.items()})
    else:
        rows = [(name, *astuple(one)) for name, one in sorted(figures.items())]
        print_table(("channel", *columns), [*rows, ("total", *astuple(total))])
    sys.stdout.flush()
    say("every promise was kept" if total.clean else "a promise was broken: see the figures")
    return total.clean
