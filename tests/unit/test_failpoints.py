"""Failpoints: each named place is passed somewhere, and the process that passes it armed dies once."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config import failpoints
from config.settings import SettingsError, load

ROOT = Path(__file__).resolve().parents[2]


def test_every_place_is_passed_once_in_the_code() -> None:
    sources = [path for folder in ("scheduler", "workers") for path in (ROOT / folder).glob("*.py")]
    passed = re.findall(r'\bpassing\("(\w+)"\)', "".join(path.read_text() for path in sources))
    assert len(passed) == len(set(passed))
    assert set(passed) == set(failpoints.PLACES)


@pytest.mark.parametrize("value", ["after_clam:/x", "after_claim", "after_claim:", ":/x"])
def test_a_place_that_does_not_exist_is_refused(value: str) -> None:
    with pytest.raises(SettingsError) as unusable:
        load({"FLEET_FAILPOINT": value})
    assert unusable.value.problems[0].startswith("FLEET_FAILPOINT: must read name:/path/of/a/file")


@pytest.mark.parametrize(
    ("passes", "there", "code"),
    [("after_claim", True, -signal.SIGKILL), ("after_claim", False, 0), ("after_start", False, 0)],
)
def test_it_kills_while_its_file_is_there(tmp_path: Path, passes: str, there: bool, code: int) -> None:
    file = tmp_path / "armed"
    if there:
        file.touch()
    program = f"from config import failpoints; failpoints.arm('after_claim:{file}'); failpoints.passing('{passes}')"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == code
    assert not file.exists()
