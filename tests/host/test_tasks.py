"""Host preparation, with a temporary root folder and fake package managers."""

import io
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain

from tasks.cli import reporter
from tasks.core.errors import Failure
from tasks.host import apt, file_changes, install, packages, tasks, yum
from tasks.host.plan import Mirrors
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system import files

RPM, EPEL, APT = "http://mirror.test", "http://epel.test/all/", "http://apt.test/x/debian"
SET = Mirrors(RPM, EPEL, APT, "https://proxy.golang.org,direct", "sum.golang.org", "")
UNSET = Mirrors("", "", "", "direct", "off", "")

CENTOS = """\
# CentOS-Base.repo
#
# If the mirrorlist= does not work for you, as a fall back you can try the
# remarked out baseurl= line instead.

[base]
name=CentOS-$releasever - Base
mirrorlist=http://mirrorlist.centos.org/?release=$releasever&arch=$basearch&repo=os&infra=$infra
#baseurl=http://mirror.centos.org/centos/$releasever/os/$basearch/
gpgcheck=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-CentOS-7

#released updates
[updates]
name=CentOS-$releasever - Updates
mirrorlist=http://mirrorlist.centos.org/?release=$releasever&arch=$basearch&repo=updates
#baseurl=http://mirror.centos.org/centos/$releasever/updates/$basearch/
gpgcheck=1
"""
EPEL_7 = """\
[epel]
name=Extra Packages for Enterprise Linux 7 - $basearch
#baseurl=http://download.fedoraproject.org/pub/epel/7/$basearch
metalink=https://mirrors.fedoraproject.org/metalink?repo=epel-7&arch=$basearch
failovermethod=priority
enabled=1

[epel-source]
name=Extra Packages for Enterprise Linux 7 - $basearch - Source
#baseurl=http://download.fedoraproject.org/pub/epel/7/SRPMS
metalink=https://mirrors.fedoraproject.org/metalink?repo=epel-source-7&arch=$basearch
enabled=0"""
STREAM_9 = """\
[baseos]
name=CentOS Stream $releasever - BaseOS
metalink=https://mirrors.centos.org/metalink?repo=centos-baseos-$stream&arch=$basearch
gpgcheck=1
"""
ALMA = """\
[baseos]
name=AlmaLinux $releasever - BaseOS
mirrorlist=https://mirrors.almalinux.org/mirrorlist/$releasever/baseos
# baseurl=https://repo.almalinux.org/almalinux/$releasever/BaseOS/$basearch/os/
enabled=1
"""
ROCKY = """\
[baseos]
name=Rocky Linux $releasever - BaseOS
mirrorlist=https://mirrors.rockylinux.org/mirrorlist?arch=$basearch&repo=BaseOS-$releasever$rltype
#baseurl=http://dl.rockylinux.org/$contentdir/$releasever/BaseOS/$basearch/os/
gpgcheck=1
"""
DEB822 = """\
Types: deb
# http://snapshot.debian.org/archive/debian/20250520T000000Z
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs:
 http://security.debian.org/debian-security/
 https://deb.nodesource.com/node_20.x
Suites: bookworm-security
Components: main
"""
ONE_LINE = """\
# deb cdrom:[Debian GNU/Linux 10]/ buster main
deb http://ftp.de.debian.org/debian/ buster main contrib
deb-src [arch=amd64 signed-by=/a] http://deb.debian.org/debian buster main # the sources
deb http://security.debian.org/ buster/updates main
deb https://download.docker.com/linux/debian buster stable
"""
UBUNTU = """\
Types: deb
URIs: http://de.archive.ubuntu.com/ubuntu/
Suites: noble noble-updates
Components: main universe

Types: deb
URIs: http://security.ubuntu.com/ubuntu
Suites: noble-security
Components: main universe
"""
NOT_APT = "#!/bin/sh\necho this is not a list of sources\n"
FILES = {
    "etc/yum.repos.d/CentOS-Base.repo": CENTOS,
    "etc/yum.repos.d/epel.repo": EPEL_7,
    "etc/yum.repos.d/centos.repo": STREAM_9,
    "etc/yum.repos.d/docker-ce.repo": "[docker]\nbaseurl=https://download.docker.com/linux/\n",
    "etc/apt/sources.list": ONE_LINE,
    "etc/apt/sources.list.d/debian.sources": DEB822,
    "etc/apt/sources.list.d/odd.list": NOT_APT,
}
Doit = Callable[..., str]


@pytest.fixture(name="root")
def private_root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for number, (name, text) in enumerate(FILES.items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() + b"# \xff is not UTF-8\r\n")
        path.chmod(0o600 + 0o044 * (number % 2))
        os.utime(path, ns=(10**18, 10**18 + number))
    return root


@pytest.fixture(name="home")
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(name="doit")
def in_process_doit(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Doit:
    """Return a function that runs doit with only the host's tasks, and returns its output."""
    loaded = load.load({"STEPKUBE_HOME": str(home), "STEPKUBE_CONFIG": os.devnull})
    home.mkdir()

    def doit(*argv: str, mirrors: Mirrors = SET, code: int = 0, settings: Settings = loaded) -> str:
        monkeypatch.setattr(tasks, "configured_mirrors", lambda _: mirrors)
        out = io.StringIO()
        config = {
            "dep_file": str(home / "db"),
            "backend": "sqlite3",
            "outfile": out,
            "verbosity": 2,
            "reporter": reporter.Reporter,
        }
        loader = ModuleTaskLoader(
            {
                "task_mirror": lambda: tasks.task_mirror(settings),
                "task_packages": lambda: tasks.task_packages(settings),
                "task_firewall": lambda: tasks.task_firewall(settings),
            }
        )
        capfd.readouterr()
        main = DoitMain(loader, config_filenames=(), extra_config={"GLOBAL": config})
        assert (main.run(list(argv)) or 0) == code
        printed = capfd.readouterr()
        return printed.out + printed.err + out.getvalue()

    return doit


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


FAKES = {
    "apt-get": 'case $1 in install) shift 3; printf "%s\\n" "$@" >>$STATE;; esac',
    "dpkg-query": 'while read -r name; do printf "installed\\t%s, \\n" $name; done <$STATE',
    "dnf": "shift 3; for name; do [ $name = runc ] || echo $name >>$STATE; done",
    "rpm": "while read -r name; do [ $name != $3 ] || exit 0; done <$STATE; exit 1",
    "systemctl": "case $1 in enable) >$STATE.up;; *) [ -e $STATE.up ];; esac",
    "firewall-cmd": "[ $1 != --state ] || echo running",
}


@pytest.fixture(name="pretend")
def fake_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Callable[[], list[str]]]:
    """Return a function that puts only the named fake programs in PATH; it returns their log."""

    def pretend(*names: str, installed: str = "git\nmake\ngcc\n") -> Callable[[], list[str]]:
        folder, log = tmp_path / "bin", tmp_path / "log"
        folder.mkdir()
        (tmp_path / "installed").write_text(installed)
        for name in names:
            script = folder / name
            script.write_text(f'#!/bin/sh\necho "{name} $*" >>{log}\n{FAKES[name]}\n')
            script.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setenv("STATE", str(tmp_path / "installed"))
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        systemd = tmp_path / "systemd"
        if "systemctl" in names:
            systemd.mkdir()
        monkeypatch.setattr(install, "SYSTEMD", systemd)
        release = tmp_path / "os-release"
        release.write_text('ID="rocky"\nVERSION_ID="9.4"\n')
        monkeypatch.setattr(install, "OS_RELEASE", release)
        changing = ("apt-get", "dnf", "systemctl enable", "firewall-cmd --zone")
        return lambda: [
            line
            for line in (log.read_text().splitlines() if log.exists() else [])
            if line.startswith(changing)
        ]

    return pretend


Pretend = Callable[..., Callable[[], list[str]]]


def test_apt_installs_missing_packages_once(doit: Doit, pretend: Pretend, home: Path) -> None:
    ran = pretend("apt-get", "dpkg-query", "systemctl")
    output = doit("packages", "--dry-run")
    assert ran() == [] and "missing  containerd" in output and "present  git" in output
    doit("packages")
    names = (
        "containerd runc containernetworking-plugins iptables nftables conntrack socat iproute2"
        " ethtool libc6-dev"
    )
    assert ran() == [
        "apt-get update",
        f"apt-get install --yes --no-install-recommends {names}",
        "systemctl enable --now containerd",
    ]
    assert f"apt-get install --yes --no-install-recommends {names} " in output, "the exact command"
    doit("packages")
    assert len(ran()) == 3, "a second run does nothing"
    assert file_changes.load(home).packages == tuple(names.split())
    output = doit("clean", "packages")
    assert f"apt-get remove --yes {names} " in output and "disable --now containerd" in output
    assert len(ran()) == 3, "the user removes them"


def test_docker_is_installed_and_started_if_it_is_the_runtime(
    doit: Doit, pretend: Pretend, home: Path
) -> None:
    environ = {"STEPKUBE_HOME": str(home), "STEPKUBE_CONFIG": os.devnull}
    loaded = load.load({**environ, "CONTAINER_RUNTIME": "docker"})
    ran = pretend("apt-get", "dpkg-query", "systemctl")
    doit("packages", settings=loaded)
    _, install_command, enable_command = ran()
    assert " docker.io runc " in install_command and " containerd " not in install_command
    assert enable_command == "systemctl enable --now docker"
    assert "docker.io" in file_changes.load(home).packages
    assert "disable --now docker" in doit("clean", "packages", settings=loaded)


def test_a_runtime_from_another_package_is_not_replaced(pretend: Pretend) -> None:
    pretend("apt-get", "dpkg-query")
    manager, runtime = install.detect_manager(), packages.RUNTIMES["docker"]
    assert "docker.io" in install.packages_to_install(manager, runtime)
    dockerd = Path(os.environ["PATH"]) / "dockerd"
    dockerd.write_text("#!/bin/sh\n")
    dockerd.chmod(0o755)
    assert "docker.io" not in install.packages_to_install(manager, runtime)
    assert "socat" in install.packages_to_install(manager, runtime)


def test_dnf_adds_epel_and_reports_unknown_packages(
    doit: Doit, pretend: Pretend, home: Path
) -> None:
    ran = pretend("dnf", "rpm")
    output = doit("packages", code=1)
    assert "systemd does not run" in output
    first, second = ran()
    epel = "http://epel.test/all/epel/epel-release-latest-9.noarch.rpm"
    assert first == f"dnf install -y --setopt=strict=0 {epel}"
    assert "containerd runc" in second and "conntrack-tools" in second
    assert "no repository of this system has: runc\n" in output
    assert "runc" not in file_changes.load(home).packages


def test_epel_is_a_package_name_or_an_address() -> None:
    assert packages.epel_release('ID="centos"\nVERSION_ID="7"\n', UNSET) == "epel-release"
    assert packages.epel_release("ID=rhel\nVERSION_ID=8.9\n", UNSET).endswith("latest-8.noarch.rpm")
    assert packages.epel_release("ID=fedora\nVERSION_ID=41\n", SET) == ""


def test_a_package_that_another_package_provides_is_not_missing(pretend: Pretend) -> None:
    pretend("apt-get", "dpkg-query", installed="containerd.io,containerd,runc(=1)\n")
    listing = "installed\tcontainerd.io, containerd, runc (= 1.1)\nconfig-files\tsocat, \n"
    script = Path(os.environ["PATH"]) / "dpkg-query"
    script.write_text(f"#!/bin/sh\nprintf '{listing}'\n")
    names = ["containerd", "runc", "socat"]
    assert install.missing(install.detect_manager(), names) == ["socat"]


def test_packages_needs_root_and_prints_the_command(
    doit: Doit, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = pretend("apt-get", "dpkg-query")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    output = doit("packages", code=1)
    assert "sudo apt-get update && sudo apt-get install --yes" in output
    assert ran() == []


def test_a_system_without_a_known_manager_is_reported(pretend: Pretend) -> None:
    pretend()
    with pytest.raises(Failure, match="apt-get, dnf, yum"):
        install.detect_manager()


def test_the_firewall_opens_the_ports_of_delve_and_closes_them(
    doit: Doit, pretend: Pretend, home: Path
) -> None:
    ran = pretend("firewall-cmd")
    assert "39999/tcp" in doit("firewall", "--dry-run") and ran() == []
    doit("firewall", "--port", "39999")
    assert ran() == ["firewall-cmd --zone=public --add-port=39999/tcp"]
    doit("firewall")
    assert len(file_changes.load(home).ports) == 6
    doit("firewall", "--close", "--port", "39997")
    assert ran()[-1] == "firewall-cmd --zone=public --remove-port=39997/tcp"
    doit("clean", "firewall")
    assert sum("--remove-port" in line for line in ran()) == 6
    assert not (home / "host.json").exists()


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_an_invalid_port_is_refused(doit: Doit, pretend: Pretend, port: str) -> None:
    ran = pretend("firewall-cmd")
    output = doit("firewall", f"--port={port}", code=1)
    assert f"--port: {port} is not a port" in output and "fix: use 1 to 65535" in output
    assert ran() == []


def test_without_a_firewall_nothing_is_opened(doit: Doit, pretend: Pretend) -> None:
    pretend()
    output = doit("firewall")
    assert "no port was opened: " in output and "firewalld, ufw, nftables" in output
