"""What CI installs: every dependency in the version and with the hashes of the lock files."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tasks.settings.load import ROOT

LOCKS = [ROOT / "requirements.lock", ROOT / ".ci" / "audit.lock"]


def pins(lock: Path) -> dict[str, str]:
    """Return the version of each package. Fails for a line without version or without hash."""
    found: dict[str, str] = {}
    for block in re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n", "", lock.read_text(), flags=re.M)):
        match = re.match(r"([\w.-]+)==([\w.!+]+)( ; [^\n]*)? \\\n", block)
        assert match, block
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", block), block
        found[canonicalize_name(match[1])] = match[2]
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_pin_has_a_hash(lock: Path) -> None:
    assert len(pins(lock)) > 10


def test_the_lock_has_what_the_project_needs() -> None:
    """After a change of pyproject.toml: .ci/lock."""
    text = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, pinned = text["project"], pins(LOCKS[0])
    needed = project["dependencies"] + project["optional-dependencies"]["test"]
    for line in needed + text["build-system"]["requires"]:
        requirement = Requirement(line)
        version = pinned.get(canonicalize_name(requirement.name), "no version")
        assert version in requirement.specifier, f"{line}: {version}"


def test_an_audit_without_its_database_says_so_and_does_not_fail(tmp_path: Path) -> None:
    env = {**os.environ, "AUDIT_URL": tmp_path.as_uri()}
    done = subprocess.run(
        [ROOT / ".ci" / "audit"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "SKIPPED" in done.stderr
