import re
import shutil
import tarfile
from pathlib import Path

import pytest

from tasks.checkout import origins
from tasks.checkout import tasks as checkout
from tasks.checkout.debian import upstream_version
from tasks.core.errors import Failure
from tasks.kubernetes import version_stamp
from tasks.settings import load
from tasks.system import apt_sources, unpack
from tests.support import miniature


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return miniature.make(tmp_path / "remote", tags=("v1.9.11", "v1.10.0-rc.1", "v1.10.3"))


def chosen(tmp_path: Path, **environ: str) -> load.Settings:
    default = {"STEPKUBE_HOME": str(tmp_path / "home"), "STEPKUBE_ORIGIN_APT": "", "GOPROXY": "off"}
    return load.load({**default, **environ})


def test_mirrors_are_tried_before_the_origin(tmp_path: Path) -> None:
    made = chosen(
        tmp_path,
        STEPKUBE_MIRROR_GIT="file:///mirror,/second",
        STEPKUBE_ORIGIN_GIT="/first",
    )
    names = [origin.name for origin in origins.origins_to_try(made)]
    assert names == ["git file:///mirror", "git /second", "git /first"]


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_auto_is_the_newest_release_of_a_git_origin(
    tmp_path: Path, remote: Path, form: str
) -> None:
    got = checkout.check_out(chosen(tmp_path, STEPKUBE_ORIGIN_GIT=form.format(remote)))
    assert (got.version, got.minor) == ("v1.10.3", (1, 10))
    assert (got.tree / "cmd/kube-apiserver/main.go").is_file()
    assert got.commit == miniature.git(remote, "rev-parse", "v1.10.3")


def test_a_branch_gets_the_version_of_its_tree(tmp_path: Path, remote: Path) -> None:
    (remote / "more.txt").write_text("more")
    miniature.commit(remote, "after the tags")
    got = checkout.check_out(
        chosen(tmp_path, STEPKUBE_ORIGIN_GIT=str(remote), STEPKUBE_VERSION="main")
    )
    assert got.version == f"v1.28.3+{got.commit[:12]}"


def test_a_head_that_has_a_tag_gets_its_version(tmp_path: Path) -> None:
    remote = miniature.make(tmp_path / "remote", tags=("v1.10.0-beta.4", "mine"))
    for version in ("auto", "main"):
        environ = {"STEPKUBE_ORIGIN_GIT": str(remote), "STEPKUBE_VERSION": version}
        got = checkout.check_out(chosen(tmp_path, **environ))
        assert got.version == "v1.10.0-beta.4"
        assert got.tree.name == "v1.10.0-beta.4"


@pytest.mark.parametrize("length", [40, 9])
def test_a_commit_inside_a_branch_can_be_named(tmp_path: Path, remote: Path, length: int) -> None:
    first = miniature.git(remote, "rev-parse", "HEAD")
    (remote / "more.txt").write_text("more")
    miniature.commit(remote, "second")
    for tag in ("v1.9.11", "v1.10.0-rc.1", "v1.10.3"):
        miniature.git(remote, "tag", "--force", tag)
    got = checkout.check_out(
        chosen(tmp_path, STEPKUBE_ORIGIN_GIT=f"file://{remote}", STEPKUBE_VERSION=first[:length])
    )
    assert got.commit == first
    assert not (got.tree / "more.txt").exists()


def test_two_versions_keep_both_trees_and_every_edit(tmp_path: Path, remote: Path) -> None:
    one = checkout.check_out(
        chosen(tmp_path, STEPKUBE_ORIGIN_GIT=str(remote), STEPKUBE_VERSION="1.9.11")
    )
    edited = one.tree / "pkg/kubelet/kubelet.go"
    edited.write_text("package kubelet // mine\n")
    two = checkout.check_out(chosen(tmp_path, STEPKUBE_ORIGIN_GIT=str(remote)))
    assert one.tree != two.tree
    again = checkout.check_out(
        chosen(tmp_path, STEPKUBE_ORIGIN_GIT=str(remote), STEPKUBE_VERSION="v1.9.11")
    )
    assert again.tree == one.tree
    assert edited.read_text() == "package kubelet // mine\n"


def test_a_moved_tag_is_followed_unless_work_would_be_lost(
    tmp_path: Path, remote: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = chosen(tmp_path, STEPKUBE_ORIGIN_GIT=str(remote))
    first = checkout.check_out(made)
    edited = first.tree / "pkg/kubelet/kubelet.go"
    original = edited.read_text()

    def move(word: str) -> str:
        (remote / "more.txt").write_text(word)
        commit = miniature.commit(remote, word)
        miniature.git(remote, "tag", "--force", "v1.10.3")
        return commit

    edited.write_text("package kubelet // mine\n")
    second = move("second")
    with pytest.raises(Failure, match=f"{first.tree} has edits .*{first.commit[:12]}") as output:
        checkout.check_out(made)
    assert f"origin.path={first.tree}" in output.value.hint
    assert edited.read_text() == "package kubelet // mine\n"
    assert miniature.git(first.tree, "rev-parse", "HEAD") == first.commit
    mine = miniature.commit(first.tree, "mine")
    with pytest.raises(Failure, match=f"{first.tree} .*{mine[:12]}"):
        checkout.check_out(made)
    assert miniature.git(first.tree, "rev-parse", "HEAD") == mine
    miniature.git(first.tree, "checkout", "--quiet", "--detach", first.commit)
    assert checkout.check_out(made).commit == second
    assert f"was moved from {first.commit[:12]}" in capsys.readouterr().out
    assert (first.tree / "more.txt").read_text() == "second"
    assert edited.read_text() == original


def test_commits_after_a_version_are_kept(tmp_path: Path, remote: Path) -> None:
    made = chosen(tmp_path, STEPKUBE_ORIGIN_GIT=str(remote))
    first = checkout.check_out(made)
    (first.tree / "mine.txt").write_text("mine")
    mine = miniature.commit(first.tree, "mine")
    assert checkout.check_out(made) == first
    assert miniature.git(first.tree, "rev-parse", "HEAD") == mine
    assert version_stamp.with_new_commits(first).version == f"v1.10.3-1+{mine[:14]}"


def test_a_named_version_is_never_replaced(tmp_path: Path, remote: Path) -> None:
    with pytest.raises(Failure) as caught:
        checkout.check_out(
            chosen(tmp_path, STEPKUBE_ORIGIN_GIT=str(remote), STEPKUBE_VERSION="v1.10.4")
        )
    assert "Kubernetes v1.10.4:" in caught.value.message
    assert "v1.10.3" in caught.value.message, "the most similar tag is named"
    assert not (tmp_path / "home" / "src").exists()


def test_the_next_git_origin_is_tried_when_one_is_unreachable(
    tmp_path: Path, remote: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone.git"
    got = checkout.check_out(chosen(tmp_path, STEPKUBE_ORIGIN_GIT=f"{gone},{remote}"))
    assert got.version == "v1.10.3"
    assert f"git {gone} cannot be reached" in capsys.readouterr().out


def test_without_debian_the_next_origin_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apt_sources, "system_sources", list)
    monkeypatch.setattr(apt_sources, "_code_names", list)
    environ = {"STEPKUBE_ORIGIN_GIT": "", "STEPKUBE_ORIGIN_APT": "kubernetes"}
    with pytest.raises(Failure) as caught:
        checkout.check_out(chosen(tmp_path, **environ, GOPROXY="file:///gone"))
    for origin in ("the source package kubernetes: /etc/apt", "the Go module proxy: "):
        assert origin in caught.value.message


def test_an_empty_version_is_auto(tmp_path: Path, remote: Path) -> None:
    made = chosen(tmp_path, STEPKUBE_ORIGIN_GIT=str(remote), STEPKUBE_VERSION=" ")
    assert checkout.check_out(made).version == "v1.10.3"


def test_the_failure_lists_every_origin(tmp_path: Path) -> None:
    gone = tmp_path / "gone.git"
    with pytest.raises(Failure) as caught:
        checkout.check_out(chosen(tmp_path, STEPKUBE_ORIGIN_GIT=str(gone)))
    assert str(gone) in caught.value.message
    assert "origin.git" in caught.value.hint


def test_a_bare_mirror_without_tags_is_used_at_its_head(tmp_path: Path) -> None:
    source = miniature.make(tmp_path / "source")
    bare = tmp_path / "mirror.git"
    miniature.git(source, "clone", "--quiet", "--bare", ".", str(bare))
    got = checkout.check_out(chosen(tmp_path, STEPKUBE_ORIGIN_GIT=str(bare)))
    assert got.commit == miniature.git(source, "rev-parse", "HEAD")


def test_a_users_worktree_is_used_in_place(tmp_path: Path, remote: Path) -> None:
    before = miniature.git(remote, "status", "--porcelain", "--ignored")
    got = checkout.check_out(chosen(tmp_path, STEPKUBE_ORIGIN_PATH=str(remote)))
    assert got.tree == remote
    assert miniature.git(remote, "status", "--porcelain", "--ignored") == before


def test_a_worktree_at_another_version_is_refused(tmp_path: Path, remote: Path) -> None:
    with pytest.raises(Failure, match=r"not at v1\.20\.2"):
        checkout.check_out(
            chosen(tmp_path, STEPKUBE_ORIGIN_PATH=str(remote), STEPKUBE_VERSION="v1.20.2")
        )


def test_a_folder_that_is_not_kubernetes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure) as caught:
        checkout.check_out(chosen(tmp_path, STEPKUBE_ORIGIN_PATH=str(tmp_path)))
    assert "STEPKUBE_ORIGIN_PATH" in caught.value.message
    assert "not a Kubernetes source tree" in caught.value.message


def test_a_tree_of_lfs_pointers_is_refused(tmp_path: Path, remote: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 28\n"
    (remote / "cmd/kube-apiserver/main.go").write_text(pointer)
    miniature.commit(remote, "kept elsewhere")
    for environ in ({"STEPKUBE_ORIGIN_GIT": str(remote)}, {"STEPKUBE_ORIGIN_PATH": str(remote)}):
        with pytest.raises(Failure, match=r"Git LFS pointers .* \(main.go\)") as caught:
            checkout.check_out(chosen(tmp_path, STEPKUBE_VERSION="main", **environ))
        assert "origin.path" in caught.value.hint


def test_an_interrupted_checkout_is_repeated(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = chosen(tmp_path, STEPKUBE_ORIGIN_GIT=str(remote))
    with monkeypatch.context() as patch:
        patch.setattr("tasks.checkout.git.require_kubernetes", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            checkout.check_out(made)
    shutil.rmtree(made.paths.source)
    assert checkout.check_out(made).version == "v1.10.3"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("debian", "kubernetes"),
    [
        ("1.20.5+really1.20.2-1.1+deb12u1", "v1.20.2"),
        ("1.36.4+ds-1", "v1.36.4"),
        ("1.32.0~rc.1-1", "v1.32.0-rc.1"),
    ],
)
def test_debian_versions(debian: str, kubernetes: str) -> None:
    assert upstream_version(debian) == kubernetes


@pytest.mark.parametrize("name", ["top/../../evil", "/top/evil", "../evil"])
def test_an_archive_cannot_write_elsewhere(tmp_path: Path, name: str) -> None:
    archive, folder = tmp_path / "a.orig.tar.gz", tmp_path / "folder"
    folder.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(Failure, match=re.escape(name)):
        unpack.extract(archive, folder, strip=1)
    assert list(folder.iterdir()) == []


def test_an_archive_is_unpacked_without_its_top_folder(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("text")
    (tmp_path / "source" / "link").symlink_to("file")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "source", "top")
    unpack.extract(tmp_path / "a.tar.gz", tmp_path / "out", strip=1)
    assert (tmp_path / "out" / "link").read_text() == "text"


@pytest.mark.parametrize(
    "name", ["two\nlines.go", '"quoted".go', "back\\slash.go", "-x.go", "ä .go"]
)
def test_the_snapshot_takes_every_file_name(remote: Path, name: str) -> None:
    before = miniature.blobs(remote)
    (remote / name).write_text("package x\n")
    assert set(miniature.blobs(remote)) - set(before) == {name}


def test_the_snapshot_sees_edits_new_files_and_deletions(remote: Path) -> None:
    before = miniature.blobs(remote)
    (remote / "pkg/kubelet/kubelet.go").write_text("package kubelet // mine\n")
    (remote / "pkg/kubelet/new.go").write_text("package kubelet\n")
    (remote / "pkg/scheduler/scheduler_test.go").unlink()
    after = miniature.blobs(remote)
    changed = {path for path in before | after if before.get(path) != after.get(path)}
    assert changed == {
        "pkg/kubelet/kubelet.go",
        "pkg/kubelet/new.go",
        "pkg/scheduler/scheduler_test.go",
    }
    miniature.commit(remote, "second")
    assert miniature.blobs(remote) == after, "a commit changes nothing that is built"
