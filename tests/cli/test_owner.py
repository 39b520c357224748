"""Root does not take over a user's workspace, and a user is told that one is root's."""

import os
from pathlib import Path

import pytest

from tasks.cli.owner import require_owner
from tasks.core.errors import Failure
from tests.support.doit import doit

USER = 12345
MADE_BY = "the workspace {} belongs to"


def made_by(tmp_path: Path, uid: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a workspace that a user has made; without root, this process is another user."""
    (tmp_path / "instances/default").mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(tmp_path / "instances", uid, uid)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


def test_root_starts_nothing_in_a_users_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = made_by(tmp_path, USER, monkeypatch)
    for words in (set[str](), {"up"}, {"start"}, {"build"}, {"debug"}, {"certs"}, {"status", "up"}):
        with pytest.raises(Failure, match=MADE_BY.format(home)) as caught:
            require_owner(home / "instances/default", words)
        assert "STEPKUBE_HOME=" in caught.value.hint
    for words in ({"status"}, {"down"}, {"mirror"}, {"clean", "packages"}):
        require_owner(home / "instances/default", words)
    require_owner(tmp_path / "new/instances/default", {"up"})


def test_a_user_is_told_whose_workspace_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = made_by(tmp_path, 0, monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: USER)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(Failure, match=MADE_BY.format(home)):
        require_owner(home / "instances/default", {"status"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of another user")
def test_it_is_refused_in_the_first_second(tmp_path: Path) -> None:
    (tmp_path / "instances/default").mkdir(parents=True)
    os.chown(tmp_path / "instances", USER, USER)
    for words in ([], ["up"], ["run", "up"], ["start:etcd"], ["-v", "2", "build:kubectl"]):
        refused = doit(tmp_path, *words)
        assert refused.returncode == 1, words
        assert MADE_BY.format(tmp_path) in refused.stderr and str(USER) in refused.stderr
        assert "Traceback" not in refused.stderr
    for words in (["list"], ["help", "up"], ["status"], ["down"], ["config"], ["stop:etcd"]):
        assert doit(tmp_path, *words).returncode == 0, words
    made = [path for path in tmp_path.rglob("*") if path.name != "instances"]
    assert {path.name for path in made} >= {"doit.sqlite", "run", "etcd.lock"}
    assert {path.stat().st_uid for path in made} == {USER}
