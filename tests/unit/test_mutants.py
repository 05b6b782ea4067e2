"""Every guard that `make mutants` takes away stands where the list says; every test that must notice exists."""

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.mutants import Change, Moved, Mutant
from tests.mutants.guards import GUARDS


@pytest.mark.parametrize("mutant", GUARDS, ids=lambda mutant: mutant.name)
def test_each_guard_stands_where_the_list_says(mutant: Mutant) -> None:
    for change in mutant.changes:
        assert change.applied(ROOT) != (ROOT / change.file).read_text(encoding="utf-8")
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8") if name else (ROOT / file).is_file()


def test_names_are_told_apart() -> None:
    assert len({mutant.name for mutant in GUARDS}) == len(GUARDS)


@pytest.mark.parametrize("text", ["", "guard guard"])
def test_a_guard_that_moved_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text, encoding="utf-8")
    with pytest.raises(Moved):
        Change("file", "guard", "").applied(tmp_path)
