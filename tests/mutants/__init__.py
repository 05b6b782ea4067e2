"""Mutants: guards of the fleet, each taken away in a copy of the tree to see that a test notices.

`make mutants` runs them all, `python -m tests.mutants NAME...` some. To add one, add it to `guards.GUARDS`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory

_LEFT_OUT = ignore_patterns(".git", ".venv", ".fleet", "__pycache__", ".*_cache", ".hypothesis", ".env")


class Moved(Exception):
    """The text that a mutant replaces does not stand in its file exactly once."""


@dataclass(frozen=True, slots=True)
class Change:
    """One replacement in one file."""

    file: str
    """Relative to the root."""
    old: str
    """Stands in the file exactly once."""
    new: str

    def applied(self, root: Path) -> str:
        """Return the file's text with the change. Raises Moved."""
        text = (root / self.file).read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise Moved(f"{self.file}: {text.count(self.old)} times instead of once: {self.old!r}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A guard that is gone, and the tests of which at least one must fail then."""

    name: str
    """Says what the fleet does without the guard."""
    changes: tuple[Change, ...]
    tests: tuple[str, ...]


@contextmanager
def tree(root: Path, mutant: Mutant | None = None) -> Iterator[Path]:
    """Give a copy of the tree in which the mutant lives; without one, the tree as it is. Raises Moved."""
    with TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / "tree"
        copytree(root, copy, ignore=_LEFT_OUT)
        for change in mutant.changes if mutant else ():
            (copy / change.file).write_text(change.applied(copy), encoding="utf-8")
        yield copy
