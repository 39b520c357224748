"""Mirrors for the package managers of a host, in a root folder of its own."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tasks.host import apt, file_changes, yum
from tasks.host.plan import Mirrors
from tasks.system import files
from tests.support.hostfiles import (
    ALMA,
    APT,
    CENTOS,
    DEB822,
    EPEL,
    EPEL_7,
    ONE_LINE,
    ROCKY,
    RPM,
    SET,
    STREAM_9,
    UBUNTU,
    UNSET,
    Doit,
)


def snapshot(root: Path) -> dict[str, tuple[object, ...]]:
    """Return content, mode, owner and time of every file below a folder."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            info = path.stat()
            found[str(path)] = (
                path.read_bytes(),
                stat.S_IMODE(info.st_mode),
                info.st_uid,
                info.st_gid,
                info.st_mtime_ns,
                info.st_nlink,
            )
    return found


def originals(root: Path) -> dict[str, tuple[object, ...]]:
    return {
        name: state
        for name, state in snapshot(root).items()
        if not name.endswith(file_changes.SUFFIX)
    }


@pytest.mark.skipif(not shutil.which("sed"), reason="compares with sed")
@pytest.mark.parametrize(
    ("name", "text", "script"),
    [
        (
            "CentOS-Base.repo",
            CENTOS,
            [
                "s/^mirrorlist=/#mirrorlist=/g",
                r"s|^#baseurl=http://[^/]*/|baseurl=http://mirror.test/|g",
            ],
        ),
        (
            "epel.repo",
            EPEL_7,
            [
                "s/^metalink/#metalink/g",
                r"s|^#baseurl=http://[^/]*/pub/|baseurl=http://epel.test/all/|g",
            ],
        ),
    ],
)
def test_yum_edits_equal_the_sed_commands(name: str, text: str, script: list[str]) -> None:
    argv = ["sed", *[argument for line in script for argument in ("-e", line)]]
    sed = subprocess.run(argv, input=text, capture_output=True, text=True, check=True)
    edited = yum.edit(name, text, SET)
    assert edited.text == sed.stdout != text
    assert not edited.skipped
    assert yum.edit(name, edited.text, SET) == edited, "a second edit changes nothing"


def test_almalinux_and_rocky_files_are_edited() -> None:
    alma, rocky = (
        yum.edit(name, text, SET).text.splitlines()
        for name, text in (("almalinux-baseos.repo", ALMA), ("Rocky-BaseOS.repo", ROCKY))
    )
    assert f"baseurl={RPM}/almalinux/$releasever/BaseOS/$basearch/os/" in alma
    assert f"baseurl={RPM}/$contentdir/$releasever/BaseOS/$basearch/os/" in rocky
    assert alma[2].startswith("#mirrorlist=") and rocky[2].startswith("#mirrorlist=")


def test_a_section_without_baseurl_keeps_its_mirror_list() -> None:
    unchanged = yum.edit("centos.repo", STREAM_9, SET)
    assert unchanged.text == STREAM_9
    assert "no section" in unchanged.skipped[0] and "#baseurl=" in unchanged.skipped[0]
    mixed = yum.edit("CentOS-Base.repo", CENTOS + STREAM_9, SET)
    assert mixed.text.endswith(STREAM_9)
    (reason,) = mixed.skipped
    assert reason.startswith("[baseos] ") and "#baseurl=" in reason


@pytest.mark.parametrize(
    ("uri", "mirror", "expected"),
    [
        ("http://deb.debian.org/debian", APT, "http://apt.test/x/debian"),
        ("http://deb.debian.org/debian/", APT, "http://apt.test/x/debian/"),
        ("http://deb.debian.org/debian-security", APT, "http://apt.test/x/debian-security"),
        ("http://security.debian.org/", APT, "http://apt.test/x/debian-security/"),
        ("http://deb.debian.org/debian", "http://apt.test/inner/", "http://apt.test/inner"),
        ("http://security.debian.org/", "http://apt.test/inner", None),
        ("http://archive.ubuntu.com/ubuntu/", APT, None),
        ("http://archive.ubuntu.com/ubuntu", "http://a.test/ubuntu", "http://a.test/ubuntu"),
        (
            "http://ports.ubuntu.com/ubuntu-ports",
            "http://a.test/ubuntu",
            "http://a.test/ubuntu-ports",
        ),
        ("http://archive.debian.org/debian", APT, "http://archive.debian.org/debian"),
        ("http://deb.debian.org.evil.test/debian", APT, "http://deb.debian.org.evil.test/debian"),
        (
            "https://download.docker.com/linux/debian",
            APT,
            "https://download.docker.com/linux/debian",
        ),
        (
            "mirror+file:/etc/apt/mirrors/debian.list",
            APT,
            "mirror+file:/etc/apt/mirrors/debian.list",
        ),
    ],
)
def test_only_archives_of_the_distribution_are_mirrored(
    uri: str, mirror: str, expected: str | None
) -> None:
    assert apt.mirrored(uri, mirror) == expected


def test_only_addresses_change_in_both_apt_formats() -> None:
    deb822 = apt.edit("debian.sources", DEB822, SET).text
    assert deb822 == DEB822.replace("http://deb.debian.org/debian\n", f"{APT}\n").replace(
        "http://security.debian.org/debian-security/", f"{APT}-security/"
    )
    one_line = apt.edit("sources.list", ONE_LINE, SET).text
    assert one_line == (
        ONE_LINE.replace("http://ftp.de.debian.org/debian/", f"{APT}/")
        .replace("http://deb.debian.org/debian", APT)
        .replace("http://security.debian.org/", f"{APT}-security/")
    )
    ubuntu = Mirrors("", "", "https://m.test/ubuntu", "", "", "")
    assert apt.edit("ubuntu.sources", UBUNTU, ubuntu).text.count("URIs: https://m.test/ubuntu") == 2
    skipped = apt.edit("ubuntu.sources", UBUNTU, SET).skipped
    assert "http://de.archive.ubuntu.com/ubuntu/ on mirror.apt" in skipped[0]


@pytest.mark.parametrize("text", ["Types: deb\nURIs: x\n", "nonsense\n", ONE_LINE])
def test_a_file_that_is_not_deb822_is_not_changed(text: str) -> None:
    edited = apt.edit("x.sources", text, SET)
    assert edited.text == text and "deb822" in edited.skipped[0]


def test_a_dry_run_shows_a_diff_and_changes_nothing(doit: Doit, root: Path, home: Path) -> None:
    before = snapshot(root)
    output = doit("mirror", "--dry-run", "--root", str(root))
    assert snapshot(root) == before and not (home / "host.json").exists()
    assert "-mirrorlist=http://mirrorlist.centos.org" in output
    assert f"+baseurl={RPM}/centos/$releasever/os/$basearch/" in output
    assert f"+URIs: {APT}\n" in output
    assert "odd.list: not in apt's one-line format" in output
    assert "centos.repo: no section" in output and "docker-ce" not in output
    assert "GOPROXY=https://proxy.golang.org,direct" in output


def test_files_change_once_and_are_restored_byte_for_byte(
    doit: Doit, root: Path, home: Path
) -> None:
    if os.geteuid() == 0:
        os.chown(root / "etc/apt/sources.list", 1, 2)
    before = snapshot(root)
    output = doit("mirror", "--root", str(root))
    assert "--- " in output, "the plan is shown first"
    changed = {name for name, state in originals(root).items() if state[0] != before[name][0]}
    assert {Path(name).name for name in changed} == {
        "CentOS-Base.repo",
        "epel.repo",
        "sources.list",
        "debian.sources",
    }
    after = snapshot(root)
    for name in changed:
        assert after[name][1:4] == before[name][1:4], "mode and owner stay"
        assert after[name + file_changes.SUFFIX] == before[name]
    assert "nothing to change" in doit("mirror", "--root", str(root))
    assert snapshot(root) == after, "a second run changes nothing, not even a time"
    assert doit("clean", "-n", "mirror").count("restored:") == 4
    assert snapshot(root) == after
    assert doit("clean", "mirror").count("restored:") == 4
    assert snapshot(root) == before
    assert not (home / "host.json").exists()


def test_a_new_mirror_replaces_the_previous(doit: Doit, root: Path) -> None:
    before = snapshot(root)
    doit("mirror", "--root", str(root))
    other = Mirrors("https://other.test", EPEL, APT, "", "", "")
    doit("mirror", "--root", str(root), mirrors=other)
    text = (root / "etc/yum.repos.d/CentOS-Base.repo").read_bytes()
    assert b"baseurl=https://other.test/centos/" in text and b"mirror.test" not in text
    doit("mirror", "--root", str(root), mirrors=UNSET)
    assert snapshot(root) == before


def test_a_file_edited_since_is_kept(doit: Doit, root: Path, home: Path) -> None:
    before = snapshot(root)
    doit("mirror", "--root", str(root))
    edited = root / "etc/apt/sources.list"
    edited.write_text("deb http://private.test/debian bookworm main\n")
    kept = f"kept: {edited}: edited since"
    assert kept in doit("mirror", "--root", str(root))
    output = doit("clean", "mirror")
    assert kept in output and f"{edited}{file_changes.SUFFIX}" in output
    assert edited.read_text() == "deb http://private.test/debian bookworm main\n"
    assert snapshot(root)[f"{edited}{file_changes.SUFFIX}"] == before[str(edited)]
    others = {name: state for name, state in originals(root).items() if name != str(edited)}
    assert others == {name: state for name, state in before.items() if name != str(edited)}
    assert list(file_changes.load(home).files) == [str(edited)]


@pytest.mark.parametrize(
    "step",
    [
        "tasks.host.file_changes.os.link",
        "tasks.system.files.write",
        "tasks.host.file_changes.os.chown",
    ],
)
@pytest.mark.parametrize("then", ["restore", "repeat"])
def test_an_interrupted_run_can_be_undone_and_repeated(
    doit: Doit, root: Path, monkeypatch: pytest.MonkeyPatch, step: str, then: str
) -> None:
    before, real = snapshot(root), files.write

    def interrupt(*args: object, **kwargs: object) -> None:
        if step != "tasks.system.files.write" or str(args[0]).startswith(str(root)):
            raise KeyboardInterrupt
        real(*args, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(step, interrupt)
        doit("mirror", "--root", str(root))
    if then == "repeat":
        doit("mirror", "--root", str(root))
        repository = root / "etc/yum.repos.d/CentOS-Base.repo"
        assert b"http://mirror.test/centos" in repository.read_bytes()
    doit("clean", "mirror")
    assert snapshot(root) == before


def test_links_are_kept_and_only_root_may_change_files(
    doit: Doit, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "etc/apt/sources.list.d/link.list").symlink_to("../sources.list")
    assert "link.list: not a regular file" in doit("mirror", "--dry-run", "--root", str(root))
    before = snapshot(root)
    monkeypatch.setattr(os, "access", lambda *_: False)
    output = doit("mirror", "--root", str(root), code=1)
    assert f"{root}/etc/" in output and "only root" in output
    assert "sudo -E" in output and "-m doit mirror\n" in output
    assert snapshot(root) == before


def test_a_mirror_that_is_not_an_address_is_refused(doit: Doit, root: Path) -> None:
    wrong = Mirrors('http://x/"\nenabled=1', "", "", "", "", "")
    output = doit("mirror", "--root", str(root), mirrors=wrong, code=1)
    assert "mirror.rpm" in output and "is not an address" in output


@pytest.mark.skipif(not shutil.which("apt-get"), reason="needs apt")
def test_apt_itself_uses_the_mirror(doit: Doit, root: Path, tmp_path: Path) -> None:
    folder = root / "etc/apt"
    for path in [folder / "sources.list", folder / "sources.list.d/odd.list"]:
        path.unlink()
    (folder / "sources.list.d/debian.sources").write_text(DEB822)
    state = tmp_path / "state"
    for name in ("lists/partial", "archives/partial"):
        (state / name).mkdir(parents=True)

    def update_uris() -> str:
        folders = {"Etc": folder, "State": state, "Cache": state}
        options = [arg for key, path in folders.items() for arg in ("-o", f"Dir::{key}={path}")]
        return subprocess.run(
            ["apt-get", *options, "--print-uris", "update"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    before = update_uris()
    assert "'http://deb.debian.org/debian/dists/bookworm/InRelease'" in before
    doit("mirror", "--root", str(root))
    after = update_uris()
    assert f"'{APT}/dists/bookworm/InRelease'" in after
    assert f"'{APT}-security/dists/bookworm-security/InRelease'" in after
    assert "deb.debian.org" not in after and "deb.nodesource.com" in after
    doit("clean", "mirror")
    assert update_uris() == before
