"""The git origin with real repositories: over HTTP and ssh, interrupted, killed, shallow, bare."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.build import layout
from tasks.checkout import git_store
from tasks.checkout import tasks as checkout
from tasks.core.errors import Failure
from tasks.settings import load
from tests.support import miniature
from tests.support.doit import doit
from tests.support.servers import git_server


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    made = miniature.make(tmp_path / "served" / "k8s", tags=("v1.9.11", "v1.10.3"))
    for number in range(30):
        (made / f"file-{number}.txt").write_text(f"{number}\n" * 40)
    miniature.commit(made, "second")
    miniature.git(made, "tag", "--force", "v1.10.3")
    miniature.git(made, "config", "uploadpack.allowFilter", "true")
    return made


def chosen(tmp_path: Path, url: str, **environ: str) -> load.Settings:
    return load.load(
        {
            "STEPKUBE_HOME": str(tmp_path / "home"),
            "STEPKUBE_ORIGIN_APT": "",
            "STEPKUBE_ORIGIN_GIT": url,
            "GOPROXY": "off",
            **environ,
        }
    )


def require_complete(tree: Path) -> None:
    assert miniature.git(tree, "status", "--porcelain") == ""
    assert (tree / "file-29.txt").read_text() == "29\n" * 40


def test_a_broken_batch_of_files_is_fetched_again(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_store, "_BATCH", 10)

    def cut(number: int, _: bytes) -> int:
        return 600 if number == 2 else -1

    with git_server(remote.parent, cut=staticmethod(cut)) as (address, server):
        got = checkout.check_out(chosen(tmp_path, f"{address}/k8s/.git"))
    require_complete(got.tree)
    assert server.packs == 1 + 4 + 1, "the commit, four batches, and one of them twice"


def test_an_interrupted_fetch_continues(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_store, "_BATCH", 10)
    made = None

    def cut(number: int, _: bytes) -> int:
        return 600 if number >= 3 else -1

    with git_server(remote.parent, cut=staticmethod(cut)) as (address, server):
        made = chosen(tmp_path, f"{address}/k8s/.git")
        with pytest.raises(Failure, match=r"20 of 3\d files"):
            checkout.check_out(made)
        assert not made.paths.source.exists()
        server.packs, server.cut = 0, staticmethod(lambda *_: -1)
        require_complete(checkout.check_out(made).tree)
        assert server.packs == 2, "only missing files were requested"


@pytest.mark.parametrize("pack", [0, 1])
def test_a_fetch_after_a_killed_fetch_works(tmp_path: Path, remote: Path, pack: int) -> None:
    running: list[subprocess.Popen[str]] = []

    def cut(number: int, _: bytes) -> int:
        if number == pack and running:
            os.killpg(running[0].pid, signal.SIGKILL)
            return 250
        return -1

    with git_server(remote.parent, cut=staticmethod(cut)) as (address, _):
        url = f"{address}/k8s/.git"
        origin = {"STEPKUBE_ORIGIN_APT": "", "STEPKUBE_ORIGIN_GIT": url}
        home = {"STEPKUBE_HOME": str(tmp_path / "home"), "STEPKUBE_CONFIG": os.devnull}
        with subprocess.Popen(
            [sys.executable, "-m", "doit", "checkout"],
            cwd=load.ROOT,
            env={**os.environ, **home, **origin},
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as killed:
            running.append(killed)
            output, _ = killed.communicate(timeout=60)
        assert killed.returncode == -signal.SIGKILL, output
        running.clear()
        done = doit(tmp_path / "home", "checkout", **origin)
    assert done.returncode == 0, done.stdout + done.stderr
    require_complete(tmp_path / "home" / "src" / "v1.10.3")


def test_an_incomplete_worktree_is_written_again(tmp_path: Path, remote: Path) -> None:
    made = chosen(tmp_path, str(remote))
    written = checkout.check_out(made).tree
    index = Path(miniature.git(written, "rev-parse", "--git-path", "index"))
    index.rename(index.with_name("index.lock"))  # what a killed git leaves
    (written / "file-29.txt").unlink()
    require_complete(checkout.check_out(made).tree)


@pytest.mark.parametrize("name", ["shallow.lock", "config.lock"])
def test_a_lock_that_a_killed_git_left_is_removed(tmp_path: Path, remote: Path, name: str) -> None:
    url = f"file://{remote}"
    checkout.check_out(chosen(tmp_path, url, STEPKUBE_VERSION="v1.9.11"))
    left = git_store.Store(chosen(tmp_path, url), url).folder / name
    left.write_text("")
    require_complete(checkout.check_out(chosen(tmp_path, url)).tree)
    assert not left.exists()


def test_a_store_that_is_not_a_repository_is_made_again(tmp_path: Path, remote: Path) -> None:
    made = chosen(tmp_path, str(remote))
    folder = git_store.Store(made, str(remote)).folder
    (folder / "objects").mkdir(parents=True)
    (folder / "HEAD").write_text("")
    require_complete(checkout.check_out(made).tree)


def test_a_damaged_store_with_worktrees_is_kept(tmp_path: Path, remote: Path) -> None:
    made = chosen(tmp_path, str(remote))
    written = checkout.check_out(made).tree
    folder = git_store.Store(made, str(remote)).folder
    (folder / "config").write_text("[core\n")
    with pytest.raises(Failure, match=str(folder)):
        checkout.check_out(made)
    assert (written / "file-29.txt").is_file() and folder.is_dir()


def test_a_release_of_an_earlier_run_needs_no_network(
    tmp_path: Path, remote: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with git_server(remote.parent) as (address, _):
        made = chosen(tmp_path, f"{address}/k8s/.git", STEPKUBE_VERSION="v1.10.3")
        first = checkout.check_out(made)
    assert checkout.check_out(made) == first
    assert "cannot be reached: using v1.10.3" in capsys.readouterr().out
    other = chosen(tmp_path, f"{address}/k8s/.git", STEPKUBE_VERSION="v1.9.11")
    with pytest.raises(Failure, match=r"Kubernetes v1\.9\.11:"):
        checkout.check_out(other)


@pytest.mark.parametrize("form", ["{}", "file://{}"])
@pytest.mark.parametrize("kind", ["shallow", "bare"])
def test_mirrors_of_every_kind(tmp_path: Path, remote: Path, kind: str, form: str) -> None:
    mirror = tmp_path / "mirror"
    if kind == "shallow":
        words = ["clone", "--quiet", "--depth=1", "--branch=v1.10.3", f"file://{remote}"]
        miniature.git(tmp_path, *words, str(mirror))
    else:
        miniature.git(tmp_path, "clone", "--quiet", "--mirror", str(remote), str(mirror))
    got = checkout.check_out(chosen(tmp_path, form.format(mirror)))
    assert got.version == "v1.10.3"
    require_complete(got.tree)


def test_a_server_that_refuses_single_commits_sends_all(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = miniature.git(remote, "rev-parse", "HEAD~1")
    miniature.git(remote, "tag", "--delete", "v1.9.11")
    for name, value in (("COUNT", "1"), ("KEY_0", "protocol.version"), ("VALUE_0", "0")):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    got = checkout.check_out(chosen(tmp_path, f"file://{remote}", STEPKUBE_VERSION=first))
    assert got.commit == first
    assert miniature.git(got.tree, "status", "--porcelain") == ""


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_mirror_of_another_user_is_read(
    tmp_path: Path, remote: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        got = checkout.check_out(chosen(tmp_path, form.format(remote)))
    require_complete(got.tree)


def test_a_relative_path_is_relative_to_the_current_folder(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(remote.parent)
    require_complete(checkout.check_out(chosen(tmp_path, "k8s")).tree)


def test_a_short_commit_is_fetched_without_other_files(tmp_path: Path, remote: Path) -> None:
    first = miniature.git(remote, "rev-parse", "HEAD~1")
    miniature.git(remote, "tag", "--delete", "v1.9.11")
    with git_server(remote.parent) as (address, _):
        made = chosen(tmp_path, f"{address}/k8s/.git", STEPKUBE_VERSION=first[:10])
        got = checkout.check_out(made)
    assert got.commit == first and not (got.tree / "file-1.txt").exists()
    folder = git_store.Store(made, f"{address}/k8s/.git").folder
    blob = miniature.git(remote, "rev-parse", "HEAD:file-1.txt")
    held = miniature.git(folder, "cat-file", "--batch-all-objects", "--batch-check")
    assert blob not in held


def test_an_ssh_address_is_fetched_without_a_prompt(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = tmp_path / "ssh"
    run_last = 'for last; do :; done\neval "$last"\n'
    ssh.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\n{run_last}')
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", f"{ssh} -p 2222")
    monkeypatch.setenv("GIT_SSH_VARIANT", "ssh")
    got = checkout.check_out(chosen(tmp_path, f"git@mirror.invalid:{remote}"))
    require_complete(got.tree)
    arguments = (tmp_path / "arguments").read_text()
    assert "-p 2222" in arguments and "-o BatchMode=yes" in arguments
    assert "git@mirror.invalid" in arguments
    assert got.origin == f"git git@mirror.invalid:{remote}"


def test_a_password_is_used_and_never_shown(
    tmp_path: Path, remote: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with git_server(remote.parent, login="user:s3cr3t@x") as (address, _):
        host = address.removeprefix("http://")
        made = chosen(tmp_path, f"http://user:s3cr3t%40x@{host}/k8s/.git")
        assert checkout.make(made) is None
        require_complete(made.paths.source / "v1.10.3")
        for word in ("", "wr0ng@"):
            other = chosen(
                tmp_path / "other",
                f"http://user:{word}{host}/k8s/.git" if word else (f"{address}/k8s/.git"),
            )
            with pytest.raises(Failure) as caught:
                checkout.check_out(other)
            assert "wr0ng" not in str(caught.value)
    for file in (tmp_path / "home").rglob("*"):
        if file.is_file():
            assert b"s3cr3t" not in file.read_bytes(), file
    assert "s3cr3t" not in capsys.readouterr().out


def test_nothing_is_written_to_the_users_worktree(tmp_path: Path, remote: Path) -> None:
    index = remote / ".git" / "index"
    os.utime(remote / "file-1.txt", (1, 1))  # git would like to note that in its index
    before = index.read_bytes()
    got = checkout.check_out(chosen(tmp_path, "", STEPKUBE_ORIGIN_PATH=str(remote)))
    assert miniature.changed_files(got.git) == ([], [])
    assert index.read_bytes() == before


def lose(remote: Path, name: str) -> None:
    """Remove a file's content from a repository, like a mirror without large files."""
    blob = miniature.git(remote, "rev-parse", f"HEAD:{name}")
    (remote / ".git/objects" / blob[:2] / blob[2:]).unlink()


@pytest.fixture
def lossy(remote: Path) -> Path:
    """Return a repository in which two files are missing that no build needs."""
    for name in ("api/openapi-spec/swagger.json", "pkg/kubelet/testdata/large [1].json"):
        (remote / name).parent.mkdir(parents=True)
        (remote / name).write_text(f"{name}\n")
    miniature.commit(remote, "with files that nothing is built of")
    miniature.git(remote, "tag", "--force", "v1.10.3")
    miniature.git(remote, "config", "--unset", "uploadpack.allowFilter")
    lose(remote, "api/openapi-spec/swagger.json")
    lose(remote, "pkg/kubelet/testdata/large [1].json")
    return remote


@pytest.mark.parametrize("form", ["{}", "file://{}", "http"])
def test_a_mirror_without_dispensable_files_is_accepted(
    tmp_path: Path, lossy: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    miniature.git(lossy, "config", "uploadpack.allowFilter", str(form == "http").lower())
    with git_server(lossy.parent) as (address, _):
        url = f"{address}/k8s/.git" if form == "http" else form.format(lossy)
        made = chosen(tmp_path, url)
        got = checkout.check_out(made)
        assert checkout.check_out(made) == got, (
            "the second time without a request for missing files"
        )
    require_complete(got.tree)
    output = capsys.readouterr().out
    assert "missing in the repository, but not needed: " in output
    assert "api/openapi-spec/swagger.json" in output and "large [1].json" in output
    assert not (got.tree / "api/openapi-spec/swagger.json").exists()
    assert miniature.changed_files(got.git) == ([], [])
    assert miniature.blobs(got.tree, got.git).keys() >= {"go.mod", "cmd/kube-apiserver/main.go"}


def test_a_mirror_without_needed_files_is_incomplete(
    tmp_path: Path, remote: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lose(remote, "pkg/scheduler/scheduler.go")
    with pytest.raises(Failure, match=r"incomplete: pkg/scheduler/scheduler\.go") as caught:
        checkout.check_out(chosen(tmp_path, f"file://{remote}"))
    assert "git fsck" in caught.value.hint and "origin.path" in caught.value.hint
    assert f"file://{remote} is incomplete\n" in capsys.readouterr().out
    assert not (tmp_path / "home/src").exists()
    complete = miniature.make(tmp_path / "complete", tags=("v1.10.3",))
    assert (
        checkout.check_out(chosen(tmp_path, f"file://{remote},{complete}")).origin
        == f"git {complete}"
    )
    assert "is incomplete, trying the next origin" in capsys.readouterr().out


@pytest.mark.parametrize("rest", [False, True], ids=["all of a package", "a file of a package"])
def test_a_mirror_without_vendored_code_is_accepted(
    tmp_path: Path, remote: Path, rest: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    big = "vendor/example.org/big"
    for name in (f"{big}/api.go", *([f"{big}/doc.go"] if rest else [])):
        (remote / name).parent.mkdir(parents=True, exist_ok=True)
        (remote / name).write_text(f"package big // {name}\n")
    (remote / "vendor/modules.txt").write_text("# example.org/big v1.0.0\nexample.org/big\n")
    miniature.commit(remote, "with code of others")
    miniature.git(remote, "tag", "--force", "v1.10.3")
    lose(remote, f"{big}/api.go")
    if rest:
        with pytest.raises(Failure, match=rf"is incomplete: {big}/api\.go"):
            checkout.check_out(chosen(tmp_path, str(remote)))
        return
    got = checkout.check_out(chosen(tmp_path, str(remote)))
    assert f"not needed: {big}/api.go" in capsys.readouterr().out
    assert layout.first_missing_package(got.tree) == "example.org/big"


def test_a_server_without_single_commits_names_the_missing_object(
    tmp_path: Path, lossy: Path
) -> None:
    blob = miniature.git(lossy, "rev-parse", "HEAD:api/openapi-spec/swagger.json")
    error = r"the repository is incomplete: .*unable to read"
    with git_server(lossy.parent) as (address, _), pytest.raises(Failure, match=error) as caught:
        checkout.check_out(chosen(tmp_path, f"{address}/k8s/.git"))
    other = miniature.git(lossy, "rev-parse", "HEAD:pkg/kubelet/testdata/large [1].json")
    assert blob in caught.value.message or other in caught.value.message
