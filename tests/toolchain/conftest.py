"""Machines without Go and with Go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.core.errors import Failure
from tasks.kubernetes import tool_record
from tasks.system import resources
from tasks.toolchain import goroot
from tests.support.go_proxy import hide, program, write


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make a machine without Go, etcd, Delve and Debian."""
    monkeypatch.setattr(tool_record, "go_programs", list)
    hide(monkeypatch)

    def none(*args: object, **kwargs: object) -> None:
        raise Failure("no Debian here")

    monkeypatch.setattr(goroot, "Archive", none)
    monkeypatch.setattr(resources, "require_disk", lambda *args: None)


@pytest.fixture
def go_on_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a Go 1.26.8 and programs that are not a Go release."""
    root = tmp_path / "usr/local/go"
    write(root, {"bin/go": program("1.26.8", root)})
    write(tmp_path, {"broken/go": "#!/bin/sh\nexit 1\n", "odd/go": program("devel +abc", root)})
    found = [tmp_path / "broken/go", tmp_path / "odd/go", root / "bin/go", root / "bin/go"]
    for path in found:
        path.chmod(0o755)
    monkeypatch.setattr(tool_record, "go_programs", lambda: found)
    return root
