"""Debian's archive through apt with private folders: the system's own state is never touched.

apt checks every signature and hash. The system's proxy and log-in settings hold, its hooks do not
run, and its lists, cache and packages stay as they are.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tasks import files, report
from tasks.failure import Failure
from tasks.options import Mirror
from tasks.run import Result, follow, run
from tasks.settings import Settings

DEBIAN = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_LINE = re.compile(r"^(deb|deb-src)\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)$", re.MULTILINE)
_HOOKS = (
    "APT::Update::Pre-Invoke", "APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success",
    "APT::Update::Post-Invoke-Stats", "APT::Install::Post-Invoke-Success",
    "DPkg::Pre-Invoke", "DPkg::Post-Invoke", "DPkg::Pre-Install-Pkgs", "DPkg::Chroot-Directory",
)


@dataclass(frozen=True)
class Source:
    """Where packages come from; `signed_by` is a keyring or an armoured key, empty for apt's own.

    `suites` and `components` are blank-separated as in a deb822 file.
    """

    uris: str
    suites: str
    components: str
    signed_by: str = ""

    def stanza(self, kinds: Sequence[str]) -> str:
        """Return the source as a deb822 stanza."""
        lines = [
            f"Types: {' '.join(kinds)}", f"URIs: {self.uris}", f"Suites: {self.suites}",
            f"Components: {self.components}",
        ]
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        return "\n".join(lines)


class Archive:
    """A private view of the system's suites, of further Debian `suites`, or of both."""

    def __init__(
        self,
        settings: Settings,
        suites: Sequence[str] = (),
        *,
        system: bool = True,
        kinds: Sequence[str] = ("deb-src",),
    ) -> None:
        sources = select(settings.mirror.apt, suites, system=system)
        self.list = "\n\n".join(source.stanza(kinds) for source in sources) + "\n"
        self.where = " ".join(source.suites for source in sources)
        self.folder = settings.paths.cache / "apt" / files.digest(self.list)[:12]
        self._mirror = settings.mirror
        self._config = self.folder / "apt.conf"

    def update(self) -> None:
        """Fetch the indexes once a day.

        Raises Failure when one cannot be had or its signature does not hold.
        """
        stamp = self.folder / "updated"
        today = datetime.now(UTC).date().isoformat()
        with files.locked(self.folder / "lock"):
            if stamp.is_file() and stamp.read_text() == today:
                return
            for name in ("state/lists/partial", "cache/archives/partial", "empty"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            files.write(self.folder / "status", "")
            files.write(self.folder / "private.sources", self.list)
            files.write(self._config, _options(self.folder, self._mirror))
            self._follow("apt-get", "update", doing=f"indexes of {self.where}")
            files.write(stamp, today)

    def source_versions(self, package: str) -> list[str]:
        """Return the versions there are of a source package, newest first."""
        shown = self._run("apt-cache", "showsrc", "--only-source", package, check=False).stdout
        found = set(re.findall(r"^Version: (\S+)$", shown, re.MULTILINE))
        return sorted(found, key=functools.cmp_to_key(compare), reverse=True)

    def fetch_source(self, package: str, version: str, folder: Path) -> Path:
        """Download a source package, checked by apt, and return its .dsc."""
        folder.mkdir(parents=True, exist_ok=True)
        self._follow(
            "apt-get", "source", "--download-only", f"{package}={version}",
            cwd=folder, doing=f"{package} {version}",
        )
        dsc = folder / f"{package}_{version.partition(':')[2] or version}.dsc"
        if not dsc.is_file():
            raise Failure(f"apt-get left no {dsc.name} in {folder}")
        return dsc

    def binary_version(self, package: str) -> str | None:
        """Return the newest version of a binary package, or None when there is none."""
        result = self._run("apt-cache", "show", "--no-all-versions", package, check=False)
        match = re.search(r"^Version: (\S+)$", result.stdout, re.MULTILINE)
        return match[1] if match else None

    def fetch_binary(self, packages: Sequence[str], folder: Path) -> None:
        """Download binary packages, checked by apt, and unpack them into `folder`."""
        self.update()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="debs.") as name:
            debs = Path(name)
            self._follow("apt-get", "download", *packages, cwd=debs, doing=" ".join(packages))
            for deb in sorted(debs.glob("*.deb")):
                report.progress(f"unpacking {deb.name}")
                run("dpkg-deb", "--extract", deb, folder)

    def _run(self, *words: str, check: bool = True) -> Result:
        self.update()
        return run(*self._argv(words), env=_environment(), check=check)

    def _follow(self, *words: str, doing: str, cwd: Path | None = None) -> None:
        """Run apt with its progress shown; a Failure carries what apt complained about."""
        if words[1] != "update":
            self.update()
        heart = report.Heartbeat()
        said: list[str] = []

        def heed(line: str) -> None:
            heart.beat(f"{doing}: {line}")
            said.append(line)

        code = follow(*self._argv(words), on_line=heed, cwd=cwd, env=_environment())
        if code:
            complaints = [line for line in said if line.startswith(("E:", "W:"))] or said[-5:]
            raise Failure(
                f"{' '.join(words)} exited with {code}\n" + "\n".join(complaints),
                "check the network, or name a reachable Debian archive in mirror.apt",
            )

    def _argv(self, words: Sequence[str]) -> list[str]:
        if shutil.which(words[0]) is None:
            raise Failure(
                f"{words[0]} is not installed: packages need Debian or a relative of it",
                "elsewhere set origin.git or origin.path for the Kubernetes source, and"
                " mirror.goproxy or mirror.go for Go",
            )
        return [words[0], "--config-file", str(self._config), "--quiet", *words[1:]]


def select(mirror: str, suites: Sequence[str], *, system: bool) -> list[Source]:
    """Return the sources of the system (or of `mirror` in their place), then of further suites.

    Raises Failure when the system has none that speak of its own release.
    """
    code_names = _code_names()
    own = [source for source in system_sources() if _is_own(source, code_names)]
    main = (source for source in own if re.search(r"\bdebian/?(\s|$)", source.uris))
    debian = next(main, Source(DEBIAN, "", "main"))
    signed_by = debian.signed_by or (str(KEYRING) if KEYRING.is_file() else "")
    if mirror and code_names:
        own = [Source(mirror, code_names[0], "main", own[0].signed_by if own else signed_by)]
    further = [Source(mirror or debian.uris, suite, "main", signed_by) for suite in suites]
    chosen = (own if system else []) + further
    if not chosen:
        raise Failure(
            "/etc/apt names no package source of this system's release",
            "name a Debian archive in mirror.apt",
        )
    return chosen


def system_sources(folder: Path = Path("/etc/apt")) -> list[Source]:
    """Return the enabled package sources of the system, of both file formats."""
    lists = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]
    found = [source for path in lists if path.is_file() for source in _one_line(path.read_text())]
    for path in sorted((folder / "sources.list.d").glob("*.sources")):
        found += _deb822(path.read_text())
    return list(dict.fromkeys(found))


def compare(left: str, right: str) -> int:
    """Order two Debian versions as dpkg does: negative, zero or positive."""
    if left == right:
        return 0
    return 1 if run("dpkg", "--compare-versions", left, "gt", right, check=False).code == 0 else -1


def _one_line(text: str) -> Iterator[Source]:
    for _, options, uri, suite, components in _LINE.findall(text):
        named = dict(word.split("=", 1) for word in options.split() if "=" in word)
        yield Source(uri, suite, components.partition("#")[0].strip(), named.get("signed-by", ""))


def _deb822(text: str) -> Iterator[Source]:
    text = re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)
    for stanza in re.split(r"\n\s*\n", text):
        fields = {
            name.lower(): value.strip()
            for name, value in re.findall(r"^([\w-]+):((?:.*)(?:\n[ \t].*)*)", stanza, re.MULTILINE)
        }
        if "uris" in fields and fields.get("enabled", "yes").lower() not in ("no", "false"):
            uris, suites, components = (
                " ".join(fields.get(key, "").split()) for key in ("uris", "suites", "components")
            )
            yield Source(uris, suites, components, fields.get("signed-by", ""))


def _code_names() -> list[str]:
    """Return the names of the release that runs here, its own before its parent's."""
    release = Path("/etc/os-release")
    text = release.read_text() if release.is_file() else ""
    keys = ("VERSION_CODENAME", "DEBIAN_CODENAME", "UBUNTU_CODENAME")
    found = (re.search(rf'^{key}="?([\w-]+)', text, re.MULTILINE) for key in keys)
    return [match[1] for match in found if match]


def _is_own(source: Source, code_names: Sequence[str]) -> bool:
    """Tell the distribution's own suites from those that others offer for it."""
    names = "|".join([*map(re.escape, code_names), "stable", "testing", "unstable", "sid"])
    own = re.compile(rf"({names})([-/](updates|security))?")
    return "main" in source.components.split() and all(map(own.fullmatch, source.suites.split()))


def _options(folder: Path, mirror: Mirror) -> str:
    """Return the configuration that is read last, after the system's: private and strict."""
    values = {
        "Dir::Etc::sourcelist": folder / "private.sources",
        "Dir::Etc::sourceparts": folder / "empty",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": folder / "empty",
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Cache::pkgcache": "pkgcache.bin",
        "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
        "Dir::Log": folder / "log",
        "APT::Sandbox::User": "root",  # _apt could not read a private folder
        "APT::Get::AllowUnauthenticated": "false",
        "APT::Update::Error-Mode": "any",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowWeakRepositories": "false",
        "Acquire::AllowDowngradeToInsecureRepositories": "false",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": f"{mirror.timeout:.0f}",
        "Acquire::https::Timeout": f"{mirror.timeout:.0f}",
    }
    if mirror.ca_bundle:
        values["Acquire::https::CaInfo"] = mirror.ca_bundle
    cleared = [f"#clear {hook};" for hook in _HOOKS]
    return "\n".join([*cleared, *(f'{key} "{value}";' for key, value in values.items())]) + "\n"


def _environment() -> Mapping[str, str]:
    """Return our environment with the language apt's answers are read in."""
    return {**os.environ, "LC_ALL": "C"}
