"""Tokens and credentials of people: where they stand, and above all where they do not."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest
import yaml

from tasks.certs import credentials, ownership
from tasks.core.errors import Failure
from tasks.settings import load as settings
from tasks.settings.load import Settings
from tests.support.doit import doit

SECRET = "s3cret-t0ken"


def load(home: Path, **environ: str) -> Settings:
    return settings.load({"STEPKUBE_HOME": str(home), **environ}, {}, Path(os.devnull))


def user(path: Path) -> dict[str, str]:
    return dict(yaml.safe_load(path.read_text())["users"][0]["user"])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_token_is_in_two_private_files_and_nowhere_else(tmp_path: Path) -> None:
    given = {"KUBECONFIG_TOKEN": SECRET, "AUTH_ARGS": f"--token {SECRET}", "KUBE_VERBOSE": "2"}
    made = doit(tmp_path, "certs", **given)
    assert made.returncode == 0, made.stderr
    paths = load(tmp_path).paths
    assert user(paths.kubeconfig("admin")) == {"token": SECRET}
    assert user(paths.kubeconfig("user")) == {"token": SECRET}
    assert "client-certificate" in user(paths.kubeconfig("controller"))
    tokens = paths.certs / "tokens.csv"
    assert tokens.read_text() == f"{SECRET},system:admin,system:admin,system:masters\n"
    said = made.stdout + made.stderr
    for words in (
        ["config"],
        ["info", "certs:kubeconfig-admin"],
        ["info", "certs:tokens"],
        ["list", "--all"],
    ):
        shown = doit(tmp_path, *words, **given)
        said += shown.stdout + shown.stderr
    assert SECRET not in said
    holders = {
        path.name
        for path in tmp_path.rglob("*")
        if path.is_file() and SECRET.encode() in path.read_bytes()
    }
    aggregator = "admin-kube-aggregator.kubeconfig"
    assert holders == {"tokens.csv", "admin.kubeconfig", aggregator, "user.kubeconfig"}
    assert all(mode(paths.certs / name) == 0o600 for name in holders)


def test_without_a_token_the_certificate_is_back(tmp_path: Path) -> None:
    environ = {"KUBECONFIG_TOKEN": SECRET, "AUTH_ARGS": f"--token={SECRET}"}
    assert doit(tmp_path, "certs", **environ).returncode == 0
    assert doit(tmp_path, "certs").returncode == 0
    paths = load(tmp_path).paths
    assert set(user(paths.kubeconfig("admin"))) == {"client-certificate", "client-key"}
    assert not (paths.certs / "tokens.csv").exists()
    assert not paths.kubeconfig("user").exists()


def test_a_secret_is_not_taken_from_the_command_line(tmp_path: Path) -> None:
    done = doit(tmp_path, "list", f"certs.kubeconfig_token={SECRET}")
    assert done.returncode == 1
    assert "(certs.kubeconfig_token=)" in done.stderr and "(KUBECONFIG_TOKEN)" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_a_secret_is_not_in_a_failure_nor_in_the_settings_words(tmp_path: Path) -> None:
    file = tmp_path / "stepkube.yaml"
    file.write_text(f"certs: {{kubeconfig_token: [{SECRET}]}}\n")
    with pytest.raises(Failure) as caught:
        settings.load({"STEPKUBE_CONFIG": str(file)})
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(load(tmp_path, KUBECONFIG_TOKEN=SECRET))
    for words in (f"{SECRET} --token=x", f"--password={SECRET}", f"--token={SECRET} '"):
        (problem,) = credentials.credential_conflicts(load(tmp_path, AUTH_ARGS=words))
        assert SECRET not in str(problem)


def test_credentials_of_the_user_as_kubectl_takes_them(tmp_path: Path) -> None:
    chosen = load(tmp_path, AUTH_ARGS="--client-certificate=a.crt --client-key 'b c.key'")
    here = Path.cwd()
    assert credentials.user_credentials(chosen) == {
        "client-certificate": str(here / "a.crt"),
        "client-key": str(here / "b c.key"),
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_gives_the_administrators_credentials_to_the_user(tmp_path: Path) -> None:
    assert doit(tmp_path, "certs", USER="nobody").returncode == 0
    certs, nobody = load(tmp_path).paths.certs, pwd.getpwnam("nobody").pw_uid
    mine = {path.name for path in certs.iterdir() if path.stat().st_uid == nobody}
    assert mine == {"admin.kubeconfig", "client-admin.crt", "client-admin.key"}
    assert mode(certs) == 0o711 and mode(certs / "client-admin.key") == 0o600
    again = doit(tmp_path, "certs:owner", USER="nobody")
    assert again.returncode == 0 and "done" not in again.stdout


def test_nobody_else_gives_anything_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for euid, name in ((1000, "nobody"), (0, "root"), (0, ""), (0, "not-a-user-of-this-machine")):
        monkeypatch.setattr(os, "geteuid", lambda euid=euid: euid)
        assert ownership.owner_ids(load(tmp_path, USER=name)) is None


def test_an_owner_named_on_purpose_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def problems(name: str) -> str:
        chosen = settings.load({}, {"certs.owner": name}, Path(os.devnull))
        return "\n".join(map(str, credentials.credential_conflicts(chosen)))

    assert "certs.owner" in problems("not-here") and "user not-here" in problems("not-here")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "only root" in problems("nobody") and "certs.owner" in problems("nobody")
