import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.build import edits
from tasks.bundle import source
from tasks.checkout import tasks as checkout
from tasks.core import doit_run
from tasks.core.errors import Failure
from tasks.editors import tree_files
from tasks.explain import versions
from tasks.kubernetes import tree, version_stamp
from tasks.settings import load
from tasks.system import git as system_git
from tasks.system.git import Git
from tests.support import miniature

OTHER = 65534
"""The user id of nobody, the owner of a planted repository when the tests run as root."""


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Return a file that the planted command creates."""
    folder = tmp_path / "marked"
    folder.mkdir(mode=0o777)
    return folder / "ran"


@pytest.fixture
def planted(tmp_path: Path, marker: Path) -> Path:
    """Return a tree in which every configuration that can name a program names one."""
    folder = miniature.make(tmp_path / "planted", tags=("v1.28.3",))
    plant(folder, marker)
    return folder


def plant(folder: Path, marker: Path) -> None:
    repository = Path(miniature.git(folder, "rev-parse", "--absolute-git-dir"))
    script = repository / "evil"
    script.write_text(f'#!/bin/sh\necho "$0 $@" >> {shlex.quote(str(marker))}\ncat\n')
    script.chmod(0o755)
    hooks = repository / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-index-change", "post-checkout", "reference-transaction", "pre-commit"):
        shutil.copy(script, hooks / name)
    (repository / "more").write_text(
        f'[filter "b.c"]\n clean = {script}\n smudge = {script}\n required = true\n'
        f'[filter "p"]\n process = {script}\n'
        f'[diff]\n external = {script}\n[diff "t"]\n textconv = {script}\n command = {script}\n'
    )
    for key, value in {
        "include.path": "more",
        "core.fsmonitor": str(script),
        "core.hooksPath": str(hooks),
        "core.pager": str(script),
        "core.editor": str(script),
        "core.sshCommand": str(script),
        "alias.status": f"!{script}",
        "log.showSignature": "true",
        "gpg.program": str(script),
        "commit.gpgSign": "true",
        "remote.origin.url": f"ext::{script}",
        "remote.origin.promisor": "true",
        "protocol.ext.allow": "always",
        "credential.helper": f"!{script}",
        "hook.one.command": str(script),
        "hook.one.event": "post-index-change",
    }.items():
        miniature.git(folder, "config", key, value)
    (repository / "info").mkdir(exist_ok=True)
    attributes = "*.go filter=b.c diff=t\n*.md filter=p\n*.txt filter=p diff=t\n"
    (repository / "info" / "attributes").write_text(attributes)
    (folder / ".gitattributes").write_text(attributes)
    for name in ("pkg/kubelet/kubelet.go", "CHANGELOG/CHANGELOG-1.28.md"):
        with (folder / name).open("a") as stream:
            stream.write("\n// edited\n")
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.lchown(path, OTHER, OTHER)


def use(git: Git, scratch: Path) -> None:
    """Use every command that reads a tree."""
    scratch.mkdir()
    got = tree.Checkout(git.folder, "v1.28.3", "HEAD", "", "", git.repository)
    digests = {"pkg/kubelet/kubelet.go": "0" * 40, "new.go": "0" * 40}
    edits.is_edited(git, digests, scratch / "commit.json")
    version_stamp.worktree_version(got)
    version_stamp.with_new_commits(got)
    versions.stamp(got)
    git.run("log", "-1", "--format=%cd")
    tree_files.exclude_file(git.folder)
    tree_files.tracked(git.folder, ["go.mod"])
    source.collect(git, "HEAD", scratch)


def test_no_program_of_a_trees_repository_runs(planted: Path, marker: Path, tmp_path: Path) -> None:
    control = ("git", "-c", "safe.directory=*", "status", "--short")
    subprocess.run(control, cwd=planted, check=True, capture_output=True)
    assert marker.read_text(), "the plain git runs them"
    marker.unlink()
    use(Git(planted), tmp_path / "scratch")
    assert not marker.exists(), marker.read_text()
    assert miniature.changed_files(Git(planted))[0] == [
        "CHANGELOG/CHANGELOG-1.28.md",
        "pkg/kubelet/kubelet.go",
        ".gitattributes",
    ]


def test_no_program_runs_while_a_tree_is_checked_out(
    planted: Path, marker: Path, tmp_path: Path
) -> None:
    environ = {"STEPKUBE_HOME": str(tmp_path / "home"), "STEPKUBE_ORIGIN_APT": ""}
    used = checkout.check_out(load.load({**environ, "STEPKUBE_ORIGIN_PATH": str(planted)}))
    assert used.version == "v1.28.3"
    cloned = checkout.check_out(load.load({**environ, "STEPKUBE_ORIGIN_GIT": f"file://{planted}"}))
    assert cloned.version == "v1.28.3"
    assert not marker.exists(), marker.read_text()


def test_a_submodule_runs_no_program(planted: Path, marker: Path, tmp_path: Path) -> None:
    users = miniature.make(tmp_path / "users")
    shutil.copytree(planted, users / "sub", symlinks=True)
    miniature.git(users, "add", "sub")
    marker.unlink(missing_ok=True)
    use(Git(users), tmp_path / "scratch")
    assert not marker.exists(), marker.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can plant a repository of another user")
def test_a_repository_of_another_user_around_the_tree_is_not_used(
    planted: Path, marker: Path
) -> None:
    inner = planted / "unpacked"
    inner.mkdir()
    assert tree_files.exclude_file(inner) == (None, "")
    assert tree_files.tracked(inner, ["go.mod"]) == []
    assert Git(inner).run("rev-parse", "HEAD", check=False).code != 0
    assert Git(planted).run("rev-parse", "HEAD").stdout
    assert not marker.exists()


def test_a_program_whose_key_cannot_be_switched_off_is_refused(planted: Path) -> None:
    with (planted / ".git/config").open("a") as stream:
        stream.write('[filter "a=b"]\n clean = touch x\n')
    with pytest.raises(Failure, match=r"filter\.a=b\.clean"):
        Git(planted).run("status")


def test_a_worktree_with_its_own_configuration_runs_no_program(
    marker: Path, tmp_path: Path
) -> None:
    main = miniature.make(tmp_path / "main", tags=("v1.28.3",))
    miniature.git(main, "worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = tmp_path / "linked"
    miniature.git(main, "config", "extensions.worktreeConfig", "true")
    (linked / ".gitattributes").write_text("*.go filter=w\n")
    command = f"touch {marker}; cat"
    miniature.git(linked, "config", "--worktree", "filter.w.clean", command)
    (linked / "pkg/kubelet/kubelet.go").write_text("package kubelet // edited\n")
    use(Git(linked), tmp_path / "scratch")
    assert not marker.exists()


def test_lfs_runs_no_program_of_a_repository(
    marker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = miniature.make(tmp_path / "tree")
    users = tmp_path / "gitconfig"
    users.write_text(f'[filter "lfs"]\n clean = "touch {marker}; cat"\n required = true\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(users))
    (folder / ".gitattributes").write_text("*.go filter=lfs\n")
    (folder / "pkg/kubelet/kubelet.go").write_text("package kubelet // edited\n")
    Git(folder).run("status")
    assert marker.exists(), "the filter is the user's own"
    marker.unlink()
    miniature.git(folder, "config", "lfs.extension.x.clean", "touch x")
    use(Git(folder), tmp_path / "scratch")
    assert not marker.exists()


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set the variables that git sets for a hook of another repository."""
    other = miniature.make(tmp_path / "other", unique="other", tags=("v1.2.3",))
    for name, value in {
        "GIT_DIR": str(other / ".git"),
        "GIT_WORK_TREE": str(other),
        "GIT_INDEX_FILE": str(other / ".git/index"),
        "GIT_OBJECT_DIRECTORY": str(other / ".git/objects"),
        "GIT_COMMON_DIR": str(other / ".git"),
        "GIT_CONFIG_PARAMETERS": "'core.fsmonitor'='touch /none'",
        "GIT_AUTHOR_NAME": "somebody",
        "GIT_EXTERNAL_DIFF": "false",
        "GIT_NAMESPACE": "none",
    }.items():
        monkeypatch.setenv(name, value)
    yield other


def test_variables_of_a_hook_lead_to_no_other_repository(
    tmp_path: Path, hook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    create = "import sys; from tests.support import miniature; from pathlib import Path;"
    create += "miniature.make(Path(sys.argv[1]), tags=('v1.28.3',), unique='mine')"
    folder = tmp_path / "mine"
    subprocess.run([sys.executable, "-c", create, str(folder)], check=True, env=outside)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, env=outside, check=True, capture_output=True
    )
    environ = {"STEPKUBE_HOME": str(tmp_path / "home"), "STEPKUBE_ORIGIN_APT": ""}
    used = checkout.check_out(load.load({**environ, "STEPKUBE_ORIGIN_PATH": str(folder)}))
    assert (used.version, used.commit) == ("v1.28.3", head.stdout.decode().strip())
    fetched = checkout.check_out(load.load({**environ, "STEPKUBE_ORIGIN_GIT": str(folder)}))
    assert fetched.commit == used.commit


def test_the_users_way_to_a_server_is_kept() -> None:
    kept = {
        "GIT_SSH_COMMAND": "ssh -i key",
        "GIT_SSL_CAINFO": "/ca",
        "GIT_CONFIG_GLOBAL": "/config",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.proxy",
        "GIT_CONFIG_VALUE_0": "http://proxy",
        "HOME": "/home/me",
    }
    dropped = {"GIT_DIR": "/x", "GIT_TEMPLATE_DIR": "/x", "GIT_SSL_NO_VERIFY": "1"}
    assert system_git.environment({**kept, **dropped}) == kept


def test_the_configuration_is_listed_again_only_after_a_change(
    tmp_path: Path, marker: Path
) -> None:
    folder = miniature.make(tmp_path / "tree", tags=("v1.28.3",))
    commands: list[str] = []
    doit_run.current().command_listeners.append(lambda argv: commands.append(" ".join(argv)))

    def listings(git: Git) -> int:
        commands.clear()
        git.run("status", "--porcelain")
        return sum(" --list " in command for command in commands)

    git = Git(folder)
    assert [listings(git) for _ in range(3)] == [1, 0, 0]
    miniature.git(folder, "config", "user.name", "x")
    assert [listings(git) for _ in range(2)] == [1, 0]
    plant(folder, marker)
    marker.unlink(missing_ok=True)
    (folder / "README.md").write_text("edited")
    assert listings(git) > 0
    assert listings(git) > 0, "an included file can change at any time"
    assert not marker.exists()
    (folder / ".git" / "config.worktree").write_text("[user]\n email = x\n")
    assert listings(git) > 0
