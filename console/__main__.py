"""`python -m console` is the command `fleet`."""

from console.cli import main

main(prog_name="fleet")
