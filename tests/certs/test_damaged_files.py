"""Damaged certificates, keys and kubeconfigs are made again."""

from __future__ import annotations

import pytest

from tasks.settings.load import Settings
from tests.support.certs import changed, doit, load, make, snapshot
from tests.support.damages import DAMAGES

KINDS = ("zero bytes", "not UTF-8", "cut off", "a folder", "a pipe", "a link to itself")
NAMES = (
    *("server-ca.crt", "server-ca.key", "client-admin.crt", "client-admin.key"),
    *("service-account.key", "service-account.pub", "admin.kubeconfig"),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_made_again(made: Settings, name: str, kind: str) -> None:
    path = made.paths.certs / name
    assert path.is_file()
    DAMAGES[kind](path)
    make(made)
    assert path.is_file() and path.stat().st_mode & 0o077 == 0
    if kind == "a folder":
        aside = path.with_name(f"{name}.damaged")
        assert (aside / "kept").read_text() == "mine"
        aside.rename(made.paths.home / name)
    after = snapshot(made.paths.certs)
    make(made)
    assert not changed(made.paths.certs, after)


@pytest.mark.parametrize("kind", [*KINDS, "another key"])
@pytest.mark.parametrize("name", ["server-ca.crt", "server-ca.key"])
def test_a_damaged_authority_of_another_control_plane_is_named(
    made: Settings, name: str, kind: str
) -> None:
    node = load(made.paths.home, START_MODE="kubeletonly")
    path = made.paths.certs / name
    if kind == "another key":
        path.write_bytes(path.with_name(name.replace("server", "client")).read_bytes())
    else:
        DAMAGES[kind](path)
    code, out = doit(node, "certs:server-ca")
    assert code and "server-ca." in out and "Traceback" not in out
