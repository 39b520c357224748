"""The version stamp of a tree: from tags, edits, an archive or a version file."""

import re
import shutil
from functools import partial
from pathlib import Path

import pytest

from tasks.check import tasks as check
from tasks.checkout import tasks as checkout
from tasks.editors import tasks as editors
from tasks.explain import versions
from tasks.kubernetes import facts, tree, version_stamp
from tasks.kubernetes.tree import Checkout, load_checkout
from tasks.settings import load
from tasks.system import unpack
from tests.support import eras, miniature

HASH = "0123456789abcdef0123456789abcdef01234567"
ERA = eras.ERAS[3]


def chosen(tmp_path: Path, tree_: Path, **environ: str) -> load.Settings:
    return load.load(
        {
            "STEPKUBE_HOME": str(tmp_path / "home"),
            "STEPKUBE_ORIGIN_PATH": str(tree_),
            **environ,
        }
    )


def stamp(one: load.Settings) -> dict[str, str]:
    return versions.stamp(load_checkout(one.paths.lock))


@pytest.fixture(name="users_tree")
def tagged(tmp_path: Path) -> Path:
    return eras.make(tmp_path / "tree", ERA)


def archive(users_tree: Path, folder: Path, what: str) -> Path:
    """Unpack the git archive of a commit."""
    packed = folder.with_suffix(".tar")
    packed.parent.mkdir(exist_ok=True)
    miniature.git(users_tree, "archive", "--output", str(packed), what)
    unpack.extract(packed, folder)
    return folder


@pytest.mark.parametrize(
    ("git", "semantic"),
    [
        ("v1.20.2", "v1.20.2"),
        ("v1.20.0-rc.1", "v1.20.0-rc.1"),
        ("v1.20.2-3-g0123456789abcd", "v1.20.2-3+0123456789abcd"),
        ("v1.20.0-alpha.1-15-g0123456789abcd", "v1.20.0-alpha.1.15+0123456789abcd"),
    ],
)
def test_git_describe_becomes_a_semantic_version(git: str, semantic: str) -> None:
    assert version_stamp.describe(git) == semantic
    assert tree.is_version(semantic)


@pytest.mark.parametrize(
    ("version", "minor"),
    [
        ("v1.20.2", "20"),
        ("v1.20.2-dirty", "20+"),
        ("v1.20.0-alpha.1", "20+"),
        ("v1.20.2-3+0123456789abcd", "20+"),
        ("v1.20.2+vendor.1", "20"),
    ],
)
def test_only_text_before_the_plus_adds_a_plus_to_the_minor(version: str, minor: str) -> None:
    one = Checkout(Path("/tree"), version, HASH, "here", "auto")
    assert version_stamp.values(one, dirty=False, date="")["gitMinor"] == minor


def test_commits_and_edits_count_as_upstream_counts_them(tmp_path: Path, users_tree: Path) -> None:
    one = chosen(tmp_path, users_tree)
    assert checkout.make(one) is None
    assert (stamp(one)["gitVersion"], stamp(one)["gitTreeState"]) == (ERA.version, "clean")
    (users_tree / "new.go").write_text("package new\n")
    assert stamp(one)["gitVersion"] == f"{ERA.version}-dirty"
    assert stamp(one)["gitTreeState"] == "dirty"
    commit = miniature.commit(users_tree, "mine")
    assert stamp(one)["gitVersion"] == f"{ERA.version}-1+{commit[:14]}"
    assert (stamp(one)["gitCommit"], stamp(one)["gitTreeState"]) == (commit, "clean")
    assert checkout.make(one) is None, "a second checkout gives the same version"
    assert load_checkout(one.paths.lock).version == f"{ERA.version}-1+{commit[:14]}"


def test_a_new_commit_of_the_users_tree_is_noticed(tmp_path: Path, users_tree: Path) -> None:
    one = chosen(tmp_path, users_tree)
    assert checkout.make(one) is None
    locked = partial(checkout.is_as_locked, one.paths.lock, users_tree=True)
    assert locked()
    (users_tree / "more.txt").write_text("more")
    miniature.commit(users_tree, "more")
    assert not locked()
    assert checkout.is_as_locked(one.paths.lock, users_tree=False), (
        "the tool's worktree can have new commits"
    )


def test_a_new_tag_of_the_users_tree_is_noticed(tmp_path: Path, users_tree: Path) -> None:
    one = chosen(tmp_path, users_tree)
    (users_tree / "more.txt").write_text("more")
    commit = miniature.commit(users_tree, "more")
    assert checkout.make(one) is None
    assert load_checkout(one.paths.lock).version == f"{ERA.version}-1+{commit[:14]}"
    locked = checkout.task_checkout(one)["uptodate"][1]
    assert locked()
    newer = ERA.version.rpartition(".")[0] + ".99"
    miniature.git(users_tree, "tag", newer)
    assert not locked()
    assert checkout.make(one) is None
    assert load_checkout(one.paths.lock).version == newer
    assert locked()
    miniature.git(users_tree, "tag", "--delete", newer)
    assert not locked()
    stamped = chosen(tmp_path, users_tree, KUBE_GIT_VERSION_FILE="/version")
    assert checkout.task_checkout(stamped)["uptodate"][1](), "tags do not make this version"


def test_a_tag_that_is_no_release_hides_none(tmp_path: Path, users_tree: Path) -> None:
    one = chosen(tmp_path, users_tree)
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "tag.gpgsign=false")

    def version() -> str:
        assert checkout.make(one) is None
        return load_checkout(one.paths.lock).version

    for tag in ("v1.backup", f"{ERA.version}-mine", "v1.99"):
        miniature.git(users_tree, *who, "tag", "--annotate", "--message", "mine", tag)
        assert version() == ERA.version
    (users_tree / "more.txt").write_text("more")
    commit = miniature.commit(users_tree, "more")
    for tag in ("v1.before", "v1.x-1-gabc"):
        miniature.git(users_tree, *who, "tag", "--annotate", "--message", "mine", tag)
        assert version().endswith(f"-1+{commit[:14]}"), "counted from a version, not from the tag"
    miniature.git(users_tree, "tag", "v1.23.7-vendor.2")
    assert version() == "v1.23.7-vendor.2"


@pytest.mark.parametrize("surrounded", [True, False])
def test_an_archive_has_its_tag_and_its_edits_are_found(
    tmp_path: Path, users_tree: Path, surrounded: bool
) -> None:
    if surrounded:
        (tmp_path / "outer").mkdir()
        (tmp_path / "outer/mine.txt").write_text("mine")
        miniature.git(tmp_path / "outer", "init", "--quiet")
        miniature.commit(tmp_path / "outer", "mine")
        miniature.git(tmp_path / "outer", "tag", "v1.5.0")
    folder = archive(users_tree, tmp_path / "outer" / "kubernetes", ERA.version)
    before = sorted(folder.rglob("*"))
    one = chosen(tmp_path, folder)
    assert checkout.make(one) is None
    locked = load_checkout(one.paths.lock)
    assert stamp(one) == {
        "gitVersion": ERA.version,
        "gitCommit": miniature.git(users_tree, "rev-parse", "HEAD"),
        "gitTreeState": "archive",
        "gitMajor": "1",
        "gitMinor": str(ERA.minor[1]),
    }
    assert sorted(folder.rglob("*")) == before, "no file of the tree is written"
    seen = miniature.blobs(folder, locked.git)
    assert seen == miniature.blobs(users_tree) | {
        "hack/lib/version.sh": seen["hack/lib/version.sh"]
    }, "only the placeholders differ"
    (folder / "pkg/mini/mini.go").write_text("package mini\n")
    assert miniature.changed_files(locked.git) == (["pkg/mini/mini.go"], [])
    assert checkout.is_as_locked(one.paths.lock, users_tree=True)


def test_an_archive_without_a_stamp_gets_the_version_of_its_files(
    tmp_path: Path, users_tree: Path
) -> None:
    (users_tree / "hack/lib/.gitattributes").unlink()
    miniature.commit(users_tree, "no marks")
    folder = archive(users_tree, tmp_path / "kubernetes", "HEAD")
    one = chosen(tmp_path, folder)
    assert checkout.make(one) is None
    first = stamp(one)
    assert first["gitVersion"] == f"{ERA.version}+{first['gitCommit'][:12]}"
    assert first["gitTreeState"] == "clean"
    (folder / "pkg/mini/mini.go").write_text("package mini\n")
    assert stamp(one)["gitVersion"] == f"{first['gitVersion']}-dirty"


def test_editors_are_configured_for_an_archive(tmp_path: Path, users_tree: Path) -> None:
    folder = archive(users_tree, tmp_path / "kubernetes", "HEAD")
    one = chosen(tmp_path, folder)
    assert checkout.make(one) is None
    before = sorted(folder.rglob("*"))
    assert editors.write(one, "127.0.0.1", "", "all") is None
    assert (folder / ".vscode/launch.json").is_file()
    assert not (folder / ".git").exists()
    assert editors.clean(one) is None
    assert sorted(folder.rglob("*")) == before


def test_a_lost_git_folder_is_made_again(tmp_path: Path, users_tree: Path) -> None:
    one = chosen(tmp_path, archive(users_tree, tmp_path / "kubernetes", "HEAD"))
    assert checkout.make(one) is None
    shutil.rmtree(one.paths.cache)
    assert not checkout.is_as_locked(one.paths.lock, users_tree=True)
    assert checkout.make(one) is None
    assert miniature.changed_files(load_checkout(one.paths.lock).git) == ([], [])


def test_a_disk_image_in_an_archive_is_not_kept(tmp_path: Path, users_tree: Path) -> None:
    folder = archive(users_tree, tmp_path / "kubernetes", "HEAD")
    with (folder / "disk [1].img").open("wb") as stream:
        stream.truncate(65 << 20)
    one = chosen(tmp_path, folder)
    assert checkout.make(one) is None
    kept = load_checkout(one.paths.lock).git.run("ls-files").stdout.splitlines()
    assert "disk [1].img" not in kept and "go.mod" in kept


def test_a_version_file_is_stamped_unchanged(tmp_path: Path, users_tree: Path) -> None:
    file = tmp_path / "version"
    file.write_text(
        f"KUBE_GIT_COMMIT='{HASH}'\nKUBE_GIT_TREE_STATE='clean'\n"
        "KUBE_GIT_VERSION='v1.23.7-vendor.2+x'\nKUBE_GIT_MAJOR='1'\nKUBE_GIT_MINOR='23+'\n"
    )
    (users_tree / "new.go").write_text("package new\n")
    one = chosen(tmp_path, users_tree, KUBE_GIT_VERSION_FILE=str(file))
    assert checkout.make(one) is None
    assert stamp(one) == {
        "gitCommit": HASH,
        "gitTreeState": "clean",
        "gitVersion": "v1.23.7-vendor.2+x",
        "gitMajor": "1",
        "gitMinor": "23+",
    }


@pytest.mark.parametrize(
    ("text", "word"), [(None, "cannot read"), ("KUBE_GIT_VERSION=''\n", "KUBE_GIT_VERSION is ''")]
)
def test_an_invalid_version_file_is_refused(
    tmp_path: Path, users_tree: Path, text: str, word: str
) -> None:
    file = tmp_path / "version"
    if text is not None:
        file.write_text(text)
    one = chosen(tmp_path, users_tree, KUBE_GIT_VERSION_FILE=str(file))
    failed = checkout.make(one)
    assert word in str(failed)
    assert "KUBE_GIT_VERSION_FILE" in str(failed)
    assert not one.paths.lock.exists()


def test_a_release_too_old_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    remote = miniature.make(tmp_path / "remote", tags=("v1.9.11",))
    one = load.load(
        {
            "STEPKUBE_HOME": str(tmp_path / "home"),
            "STEPKUBE_ORIGIN_GIT": str(remote),
            "STEPKUBE_VERSION": "1.9.11",
        }
    )
    message = str(check.check(one))
    assert "Kubernetes 1.9 is older than 1.10" in message
    assert not one.paths.cache.exists()
    assert not one.paths.source.exists()


def test_a_tree_without_a_changelog_per_minor_is_too_old(tmp_path: Path) -> None:
    tree = miniature.make(tmp_path / "tree")
    (tree / "CHANGELOG/CHANGELOG-1.28.md").unlink()
    (tree / "CHANGELOG.md").write_text("- [v1.8.3](#v183)\n\n# v1.7.9\n\n# v1.8.3\n\n# v1.8.2\n")
    miniature.commit(tree, "of old")
    one = load.load(
        {
            "STEPKUBE_HOME": str(tmp_path / "home"),
            "STEPKUBE_ORIGIN_PATH": str(tree),
        }
    )
    assert "Kubernetes 1.8 is older than 1.10" in str(checkout.make(one))


def test_a_release_newer_than_known_is_used_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remote = miniature.make(tmp_path / "remote", tags=("v1.99.0",))
    one = load.load(
        {
            "STEPKUBE_HOME": str(tmp_path / "home"),
            "STEPKUBE_ORIGIN_GIT": str(remote),
        }
    )
    assert checkout.make(one) is None
    assert re.search(rf"1\.99.*{facts.minors()[-1]}", capsys.readouterr().out)
