"""`python -m tests.chaos [--seed N ...]`: runs, prints every figure, ends 1 where the promise was not kept."""

import sys
from collections import Counter
from dataclasses import asdict

import click

from tests.chaos.run import run

WHOLE = Counter(kill=120, stop=20, wipe=3, restart=2)
DROPPED = 300


@click.command()
@click.option("--seed", "seeds", multiple=True, type=int, default=(1, 2, 3), show_default=True)
@click.option("--every", "every_seconds", default=0.4, show_default=True, help="Seconds between two insertions.")
def main(seeds: tuple[int, ...], every_seconds: float) -> None:
    """Kill, stop, wipe and restart everything under load, and count."""
    clean = True
    for seed in seeds:
        found, done, seconds = run(seed, WHOLE, dropped=DROPPED, every_seconds=every_seconds)
        click.echo(f"seed {seed}: {seconds:.0f} s, {dict(done)}")
        for name, value in asdict(found).items():
            click.echo(f"  {name}: {value}")
        clean = clean and found.is_clean
    click.echo("the promise was kept" if clean else "the promise was BROKEN")
    sys.exit(not clean)


if __name__ == "__main__":
    main(prog_name="python -m tests.chaos")
