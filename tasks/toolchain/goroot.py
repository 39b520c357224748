"""A Go release, from the first place that has it, whole and verified, as a private GOROOT."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from tasks.core import console
from tasks.core.errors import Failure
from tasks.gomod import goproxy, modzip
from tasks.gomod.release import Release, dotted, release, require_release
from tasks.kubernetes.tool_record import ORIGIN, Tool, go_env, installed_go
from tasks.settings.load import Settings
from tasks.system import download, files
from tasks.system.apt import Archive
from tasks.system.resources import architecture
from tasks.system.run import run
from tasks.toolchain.versions import go_name

MODULE = "golang.org/toolchain"
_NEWEST = 3  # how many newer patches of a line are tried


def obtain(settings: Settings, wanted: str) -> Tool:
    """Return Go `wanted` or a newer patch of its line: installed, kept, or made in the toolchain.

    Raises Failure that lists every place tried.
    """
    version = require_release(wanted, "the wanted Go")
    for tool in installed_go():
        if is_fitting(tool, version):
            return tool
    with files.locked(settings.paths.toolchain / ".go.lock"):
        for tool in kept_goroot(settings):
            if is_fitting(tool, version):
                return tool
        tried: list[str] = []
        for source in (from_proxies, from_debian, from_releases):
            try:
                return source(settings, version)
            except Failure as failure:
                tried.append(failure.message)
    raise Failure(
        f"Go {wanted} is not to be had:\n" + "\n".join(tried),
        f"install Go {dotted(version[:2])}, or name other places in mirror.goproxy,"
        " mirror.apt_archive or mirror.go",
    )


def is_fitting(tool: Tool, wanted: Release) -> bool:
    """Tell whether a Go is of the wanted minor line and not older than the wanted patch."""
    return tool.release[:2] == wanted[:2] and tool.release >= wanted


def kept_goroot(settings: Settings) -> Iterator[Tool]:
    """Yield the Go releases that the toolchain folder has already, newest first."""
    marks = settings.paths.toolchain.glob(f"go*/{ORIGIN}")
    found = [(version, mark) for mark in marks if (version := release(mark.parent.name))]
    for version, mark in sorted(found, reverse=True):
        root = mark.parent
        if (root / "bin/go").is_file():
            yield Tool("go", go_name(version), root / "bin/go", root, mark.read_text())


def from_proxies(settings: Settings, wanted: Release) -> Tool:
    """Make a GOROOT of the module golang.org/toolchain, verified by the checksum database."""
    tried: list[str] = []
    for version in candidates(wanted, _on_proxies(settings)):
        try:
            return _from_proxies(settings, version)
        except Failure as failure:
            tried.append(failure.message)
    raise Failure("\n".join(tried))


def from_debian(settings: Settings, wanted: Release) -> Tool:
    """Make a GOROOT of the packages golang-1.NN-go and golang-1.NN-src of a Debian suite.

    The system's own suites are asked first, then those of mirror.apt_archive.
    """
    line = dotted(wanted[:2])
    packages = (f"golang-{line}-go", f"golang-{line}-src")
    tried: list[str] = []
    for suite in ("", *settings.mirror.apt_archive):
        suites = (suite,) if suite else ()
        try:
            archive = Archive(settings, suites, system=not suite, kinds=("deb",))
            offered = archive.binary_version(packages[0])
            version = release(re.split(r"[-+~]", offered or "")[0])
            if version is None or version < wanted:
                raise Failure(f"{archive.where} has {offered or 'no'} {packages[0]}")
            with files.staged(_home(settings, version)) as root:
                archive.fetch_binary(packages, root / "deb")
                _flatten(root / "deb", line, root)
                origin = f"Debian {suite}" if suite else "the distribution's packages"
                return _finish(settings, version, root, origin)
        except Failure as failure:
            tried.append(failure.message)
    raise Failure("\n".join(tried))


def from_releases(settings: Settings, wanted: Release) -> Tool:
    """Make a GOROOT of a release archive below mirror.go, whose sha256 the same folder states."""
    tried: list[str] = []
    for base in settings.mirror.go:
        listed = _listed(settings, base)
        offered = [found for name in listed if (found := release(name.split(".linux-")[0]))]
        for version in candidates(wanted, offered):
            try:
                return _from_release(settings, base, version, listed)
            except Failure as failure:
                tried.append(failure.message)
    raise Failure("\n".join(tried) or "mirror.go names no folder")


def candidates(wanted: Release, offered: Iterable[Release]) -> Iterator[Release]:
    """Yield the wanted release, then the newest later patches of its line.

    `offered` is looked at only when the first would not do.
    """
    yield wanted
    later = {found for found in offered if found[:2] == wanted[:2] and found > wanted}
    yield from sorted(later, reverse=True)[:_NEWEST]


def _on_proxies(settings: Settings) -> Iterator[Release]:
    """Yield the Go releases for this machine that a proxy lists, asked for when first wanted."""
    form = re.compile(rf"^v0\.0\.1-(go[\d.]+)\.linux-{architecture()}$", re.MULTILINE)
    with suppress(Failure):
        listed = goproxy.read(settings, f"{MODULE}/@v/list")
        yield from filter(None, map(release, form.findall(listed)))


def _from_proxies(settings: Settings, version: Release) -> Tool:
    known = f"v0.0.1-go{go_name(version)}.linux-{architecture()}"
    archive, address = modzip.fetch(settings, MODULE, known)
    with files.staged(_home(settings, version)) as root:
        modzip.unpack(archive, f"{MODULE}@{known}/", root, lambda name, _: _is_program(name))
        for path in root.rglob("_go.mod"):  # go.mod would make a module of its own of the folder
            path.rename(path.with_name("go.mod"))
        archive.unlink()
        return _finish(settings, version, root, address)


def _from_release(
    settings: Settings, base: str, version: Release, listed: Mapping[str, str]
) -> Tool:
    mirror = settings.mirror
    arch = {"arm": "armv6l"}.get(architecture(), architecture())
    name = f"go{go_name(version)}.linux-{arch}.tar.gz"
    expected = (
        listed.get(name)
        or download.read(
            f"{base}/{name}.sha256", timeout=mirror.timeout, ca_bundle=mirror.ca_bundle
        ).decode(errors="replace")[:64]
    )

    def verify(path: Path) -> None:
        if files.digest_file(path) != expected:
            raise Failure(f"its sha256 is not the {expected} that {base} states")

    archive = settings.paths.cache / "downloads" / name
    download.fetch(
        f"{base}/{name}",
        archive,
        verify=verify,
        timeout=mirror.timeout,
        ca_bundle=mirror.ca_bundle,
        key="mirror.go",
    )
    with files.staged(_home(settings, version)) as root:
        console.progress(f"unpacking {name}")
        run("tar", "-xzf", archive, "-C", root, "--strip-components=1", "--no-same-owner")
        archive.unlink()
        return _finish(settings, version, root, base)


def _listed(settings: Settings, base: str) -> dict[str, str]:
    """Return archive name -> sha256 from the index of a release folder, empty where it has none."""
    mirror = settings.mirror
    try:
        index = json.loads(
            download.read(
                f"{base}/?mode=json&include=all", timeout=mirror.timeout, ca_bundle=mirror.ca_bundle
            )
        )
        return {
            file["filename"]: file["sha256"]
            for entry in index
            for file in entry["files"]
            if file["os"] == "linux"
        }
    except (Failure, ValueError, KeyError, TypeError):
        return {}


def _flatten(unpacked: Path, line: str, root: Path) -> None:
    """Make one folder of Debian's two: each link of /usr/lib/go-1.NN becomes what it points to.

    Without links the paths in debug information are the ones an editor opens.
    """
    library = unpacked / "usr/lib" / f"go-{line}"
    for link in [path for path in library.rglob("*") if path.is_symlink()]:
        target = link.resolve()
        if not target.is_relative_to(unpacked.resolve()):
            raise Failure(f"the package's {link.relative_to(unpacked)} leads to {target}")
        link.unlink()
        if target.exists():
            target.rename(link)
    for path in library.iterdir():
        path.rename(root / path.name)
    shutil.rmtree(unpacked)


def _home(settings: Settings, version: Release) -> Path:
    return settings.paths.toolchain / f"go{go_name(version)}"


def _is_program(name: str) -> bool:
    return re.fullmatch(r"(bin|pkg/tool)/.*|lib/go_\w+_\w+_exec", name) is not None


def _finish(settings: Settings, version: Release, root: Path, origin: str) -> Tool:
    """Try the program, mark the folder as whole, and make way for it."""
    made = Tool("go", go_name(version), root / "bin/go", root, origin)
    said = run(made.bin, "version", env=go_env(settings, made), timeout=60).stdout
    if f"go version go{made.version} " not in said:
        raise Failure(f"the Go {made.version} from {origin} calls itself {said.strip()}")
    files.write(root / ORIGIN, origin)
    home = _home(settings, version)
    shutil.rmtree(home, ignore_errors=True)
    return Tool("go", made.version, home / "bin/go", home, origin)
