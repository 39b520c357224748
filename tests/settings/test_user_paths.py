"""A relative path starts at the folder of its source."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.core.errors import Failure
from tasks.settings import load as settings
from tasks.settings.load import Settings
from tasks.settings.table import Row, table
from tasks.settings.user_paths import is_path


def load(
    tmp_path: Path, text: str, words: dict[str, str] | None = None, /, **environ: str
) -> Settings:
    file = tmp_path / "project" / "stepkube.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return settings.load({"STEPKUBE_CONFIG": str(file), **environ}, words, None, tmp_path / "user")


def test_each_source_has_its_folder(tmp_path: Path) -> None:
    text = "start: {cloud_config: conf/cloud}\ncerts: {dir: ./certs}\norigin: {path: ../src}"
    made = load(tmp_path, text, {"logs.dir": "logs"}, ETCD_DIR="etcd", STEPKUBE_HOME="home")
    project, user = tmp_path / "project", tmp_path / "user"
    assert made.start.cloud_config == str(project / "conf/cloud")
    assert made.paths.certs == project / "certs"
    assert made.origin.path == str(project / "../src")
    assert made.paths.logs == user / "logs"
    assert made.paths.etcd == user / "etcd"
    assert made.paths.home == user / "home"


@pytest.mark.parametrize("row", [row for row in table() if is_path(row.kind)], ids=lambda r: r.key)
def test_every_setting_with_a_path_is_relative_to_the_file(tmp_path: Path, row: Row) -> None:
    made = load(tmp_path, f"{row.key}: ./a/b")
    assert made.value(row.key) == str(tmp_path / "project/a/b")


def test_the_config_file_is_relative_to_the_users_folder(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("logs: {level: 5}")
    made = settings.load({"STEPKUBE_CONFIG": "my.yaml"}, None, None, tmp_path)
    assert made.logs.level == 5


def test_home_folders_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    text = (
        "certs: {dir: ~/c}\nlogs: {dir: $BASE/l}\netcd: {dir: '${BASE}x/e'}\n"
        "start: {cloud_config: /a$$b, kubectl: kubectl}\norigin: {tarball: 'https://h/$x'}"
    )
    made = load(tmp_path, text, BASE="/base", TMP_DIR="/t$BASE")
    assert (made.certs.dir, made.logs.dir, made.etcd.dir) == ("/home/me/c", "/base/l", "/basex/e")
    assert made.start.cloud_config == "/a$b"
    assert made.start.config_dir == "/t$BASE", "the shell has replaced the variables"
    assert made.start.kubectl == "kubectl", "a name is searched on PATH"
    assert made.origin.tarball == "https://h/$x"
    user = pwd.getpwuid(os.getuid())
    assert load(tmp_path, f"certs: {{dir: ~{user.pw_name}/c}}").certs.dir == f"{user.pw_dir}/c"


def test_git_origins_are_addresses_or_local_repositories(tmp_path: Path) -> None:
    text = "origin: {git: [repo, 'git@host:k.git', 'https://h/k.git', ./other]}"
    (tmp_path / "project/repo").mkdir(parents=True)
    repo, other = str(tmp_path / "project/repo"), str(tmp_path / "project/other")
    assert load(tmp_path, text).origin.git == (repo, "git@host:k.git", "https://h/k.git", other)


def test_the_newest_binaries_of_the_tree_are_a_word(tmp_path: Path) -> None:
    assert load(tmp_path, "build: {output: guess}").build.output == "guess"
    assert load(tmp_path, "build: {output: bin}").build.output == str(tmp_path / "project/bin")


@pytest.mark.parametrize(
    ("value", "word"), [("~nosuchuser/x", "home folder"), ("$NO_SUCH/x", "NO_SUCH")]
)
def test_a_path_that_means_nothing_is_refused(tmp_path: Path, value: str, word: str) -> None:
    with pytest.raises(Failure, match=r"certs\.dir") as caught:
        load(tmp_path, f"certs: {{dir: {value}}}")
    assert word in caught.value.message
    assert caught.value.hint
    with pytest.raises(Failure, match="STEPKUBE_HOME"):
        load(tmp_path, "", STEPKUBE_HOME="~nosuchuser/x")


def test_doit_starts_relative_paths_where_the_user_called_it(tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    argv = [sys.executable, "-m", "doit", "-f", str(settings.ROOT / "dodo.py"), "config"]
    done = subprocess.run(
        [*argv, "certs.dir=there"],
        cwd=tmp_path / "user",
        env={**os.environ, "STEPKUBE_HOME": "home", "LOG_DIR": "mine"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert str(tmp_path / "user/mine") in done.stdout, done.stderr
    assert str(tmp_path / "user/there") in done.stdout
    assert (tmp_path / "user/home/instances").is_dir()
