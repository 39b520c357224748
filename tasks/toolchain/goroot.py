"""Finds or fetches a Go release: installed, kept, or from the first place that has it, verified."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from tasks.core.errors import Failure
from tasks.gomod import goproxy, modzip
from tasks.gomod.release import Release, dotted, release, require_release
from tasks.kubernetes import tool_record
from tasks.kubernetes.tool_record import ORIGIN, Tool, go_env, goroot_programs, installed_go
from tasks.settings.load import Settings
from tasks.system import download, files, sealed, unpack
from tasks.system.apt import Archive
from tasks.system.resources import architecture
from tasks.system.run import run
from tasks.toolchain.versions import go_name

MODULE = "golang.org/toolchain"
_NEWER_PATCHES_TRIED = 3


def obtain(settings: Settings, requested: str) -> Tool:
    """Return the requested Go or a newer patch of it (1.25.3 for 1.25.1).

    It is an installed Go, else one of the toolchain folder, else it is fetched into that folder.
    Raises Failure with the error of every place.
    """
    version = require_release(requested, "the requested Go")
    for tool in installed_go():
        if _satisfies(tool, version):
            return tool
    with files.locked(settings.paths.toolchain / ".go.lock"):
        for tool in kept_goroot(settings):
            if _satisfies(tool, version):
                return tool
        errors: list[str] = []
        for fetch in (from_proxies, from_debian, from_releases):
            try:
                return fetch(settings, version)
            except Failure as failure:
                errors.append(failure.message)
    raise Failure(
        f"could not find or fetch Go {requested}:\n" + "\n".join(errors),
        f"install Go {dotted(version[:2])}, or add places to mirror.goproxy, mirror.apt_archive"
        " or mirror.go",
    )


def _satisfies(tool: Tool, requested: Release) -> bool:
    """Return whether a Go is the requested release or a newer patch of it."""
    return tool.release[:2] == requested[:2] and tool.release >= requested


def kept_goroot(settings: Settings) -> Iterator[Tool]:
    """Yield the Go releases in the toolchain folder, newest first."""
    origin_files = settings.paths.toolchain.glob(f"go*/{ORIGIN}")
    found = [(version, file) for file in origin_files if (version := release(file.parent.name))]
    for version, file in sorted(found, reverse=True):
        root = file.parent
        if all(map(sealed.is_intact, goroot_programs(root))):
            yield Tool("go", go_name(version), root / "bin/go", root, tool_record.origin_of(root))


def from_proxies(settings: Settings, requested: Release) -> Tool:
    """Fetch a GOROOT as Go module golang.org/toolchain, verified with the checksum database."""
    errors: list[str] = []
    for version in candidates(requested, _listed_by_proxies(settings)):
        try:
            return _from_proxies(settings, version)
        except Failure as failure:
            errors.append(failure.message)
    raise Failure("\n".join(errors))


def from_debian(settings: Settings, requested: Release) -> Tool:
    """Fetch a GOROOT as the packages golang-1.NN-go and golang-1.NN-src of a Debian suite.

    The suites of the system are tried first, then those of mirror.apt_archive.
    """
    minor = dotted(requested[:2])
    packages = (f"golang-{minor}-go", f"golang-{minor}-src")
    errors: list[str] = []
    for suite in ("", *settings.mirror.apt_archive):
        suites = (suite,) if suite else ()
        try:
            archive = Archive(settings, suites, system=not suite, kinds=("deb",))
            offered = archive.binary_version(packages[0])
            version = release(re.split(r"[-+~]", offered or "")[0])
            if version is None or version < requested:
                raise Failure(f"{archive.where} has {offered or 'no'} {packages[0]}")
            with files.staged(_home(settings, version)) as root:
                archive.fetch_binary(packages, root / "deb")
                _flatten(root / "deb", minor, root)
                origin = f"Debian {suite}" if suite else "the distribution's packages"
                return _finish(settings, version, root, origin)
        except Failure as failure:
            errors.append(failure.message)
    raise Failure("\n".join(errors))


def from_releases(settings: Settings, requested: Release) -> Tool:
    """Fetch a GOROOT as a release archive from mirror.go, verified with the folder's sha256."""
    errors: list[str] = []
    for base in settings.mirror.go:
        digests = _listed_digests(settings, base)
        offered = [version for name in digests if (version := release(name.split(".linux-")[0]))]
        for version in candidates(requested, offered):
            try:
                return _from_release(settings, base, version, digests)
            except Failure as failure:
                errors.append(failure.message)
    raise Failure("\n".join(errors) or "mirror.go names no folder")


def candidates(requested: Release, offered: Iterable[Release]) -> Iterator[Release]:
    """Yield the requested release, then the newest of its newer patches.

    `offered` is read only after the requested release, so the caller may not need it.
    """
    yield requested
    newer = {item for item in offered if item[:2] == requested[:2] and item > requested}
    yield from sorted(newer, reverse=True)[:_NEWER_PATCHES_TRIED]


def _listed_by_proxies(settings: Settings) -> Iterator[Release]:
    """Yield the Go releases for this machine that a proxy lists; fetch the list at the first use.

    An unreachable proxy lists none.
    """
    pattern = re.compile(rf"^v0\.0\.1-(go[\d.]+)\.linux-{architecture()}$", re.MULTILINE)
    with suppress(Failure):
        listed = goproxy.read(settings, f"{MODULE}/@v/list")
        yield from filter(None, map(release, pattern.findall(listed)))


def _from_proxies(settings: Settings, version: Release) -> Tool:
    module_version = f"v0.0.1-go{go_name(version)}.linux-{architecture()}"
    archive, address = modzip.fetch(settings, MODULE, module_version)
    prefix = f"{MODULE}@{module_version}/"
    with files.staged(_home(settings, version)) as root:
        modzip.unpack(archive, prefix, root, lambda name, _: _is_program(name))
        # in the archive a go.mod is called _go.mod, else its folder would be another Go module
        for path in root.rglob("_go.mod"):
            path.rename(path.with_name("go.mod"))
        archive.unlink()
        return _finish(settings, version, root, address)


def _from_release(
    settings: Settings, base: str, version: Release, digests: Mapping[str, str]
) -> Tool:
    mirror = settings.mirror
    arch = {"arm": "armv6l"}.get(architecture(), architecture())
    name = f"go{go_name(version)}.linux-{arch}.tar.gz"
    expected = (
        digests.get(name)
        or download.read(
            f"{base}/{name}.sha256", timeout=mirror.timeout, ca_bundle=mirror.ca_bundle
        ).decode(errors="replace")[:64]
    )

    def verify(path: Path) -> None:
        if files.digest_file(path) != expected:
            raise Failure(f"{name}: its sha256 is not {expected}, the sha256 listed by {base}")

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
        unpack.extract(archive, root, strip=1)
        archive.unlink()
        return _finish(settings, version, root, base)


def _listed_digests(settings: Settings, base: str) -> dict[str, str]:
    """Return archive name -> sha256 from the index of a release folder; empty without an index."""
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


def _flatten(unpacked: Path, minor: str, root: Path) -> None:
    """Merge Debian's two folders: each link in /usr/lib/go-1.NN is replaced by its target.

    Without links the paths in debug information are the paths that an editor opens.
    """
    library = unpacked / "usr/lib" / f"go-{minor}"
    for link in [path for path in library.rglob("*") if path.is_symlink()]:
        target = link.resolve()
        if not target.is_relative_to(unpacked.resolve()):
            raise Failure(
                f"the package's link {link.relative_to(unpacked)} leads out of the package:"
                f" {target}"
            )
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
    """Check the version that go prints, write the origin file, and remove an old folder.

    The caller then renames the staged folder `root`.
    """
    staged = Tool("go", go_name(version), root / "bin/go", root, origin)
    output = run(staged.bin, "version", env=go_env(settings, staged), timeout=60).stdout
    if f"go version go{staged.version} " not in output:
        raise Failure(f"the Go {staged.version} from {origin} prints {output.strip()!r}")
    files.write(root / ORIGIN, origin)
    home = _home(settings, version)
    shutil.rmtree(home, ignore_errors=True)
    return Tool("go", staged.version, home / "bin/go", home, origin)
