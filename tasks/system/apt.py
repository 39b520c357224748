"""Packages from Debian archives, through apt with private folders.

apt checks every signature and hash. The system's proxy and login settings apply, its hooks do not
run, and its package lists, cache and installed packages do not change.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tasks.core import console
from tasks.core.errors import Failure
from tasks.settings.groups import Mirror
from tasks.settings.load import Settings
from tasks.system import apt_sources, files, network
from tasks.system.run import Result, follow, run

_HOOKS = (
    "APT::Update::Pre-Invoke",
    "APT::Update::Post-Invoke",
    "APT::Update::Post-Invoke-Success",
    "APT::Update::Post-Invoke-Stats",
    "APT::Install::Post-Invoke-Success",
    "DPkg::Pre-Invoke",
    "DPkg::Post-Invoke",
    "DPkg::Pre-Install-Pkgs",
)


class Archive:
    """A private apt configuration: the system's suites (with `system`), then more Debian `suites`.

    `kinds` are the types of apt's sources: deb for binary packages, deb-src for source packages.
    """

    def __init__(
        self,
        settings: Settings,
        suites: Sequence[str] = (),
        *,
        system: bool = True,
        kinds: Sequence[str] = ("deb-src",),
    ) -> None:
        sources = apt_sources.select(settings.mirror.apt, suites, system=system)
        self.list = "\n\n".join(source.stanza(kinds) for source in sources) + "\n"
        self.where = " ".join(source.suites for source in sources)
        self.folder = settings.paths.cache / "apt" / files.digest(self.list)[:12]
        self._mirror, self._settings = settings.mirror, settings
        self._config = self.folder / "apt.conf"

    def update(self) -> None:
        """Fetch the package indexes, at most once a day.

        Raises Failure when an index cannot be fetched or its signature is not valid.
        """
        stamp = self.folder / "updated"
        today = datetime.now(UTC).date().isoformat()
        with files.locked(self.folder / "lock"):
            hosts = re.findall(r"https://([^\s/:]+)", self.list)
            options = _options(self.folder, self._mirror, network.ca_file(self._settings), hosts)
            files.write_if_changed(self._config, options)
            if stamp.is_file() and stamp.read_bytes() == today.encode():
                return
            for name in ("state/lists/partial", "cache/archives/partial", "empty"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            files.write(self.folder / "status", "")
            files.write(self.folder / "private.sources", self.list, 0o600)
            self._follow("apt-get", "update", doing=f"indexes of {self.where}")
            files.write(stamp, today)

    def source_versions(self, package: str) -> list[str]:
        """Return the available versions of a source package, newest first."""
        shown = self._run(
            "apt-cache", "showsrc", "--only-source", "--", package, check=False
        ).stdout
        found = set(re.findall(r"^Version: (\S+)$", shown, re.MULTILINE))
        return sorted(found, key=functools.cmp_to_key(compare), reverse=True)

    def fetch_source(self, package: str, version: str, folder: Path) -> Path:
        """Download a source package, which apt checks, and return the path of its .dsc."""
        folder.mkdir(parents=True, exist_ok=True)
        self._follow(
            "apt-get",
            "source",
            "--download-only",
            "--",
            f"{package}={version}",
            cwd=folder,
            doing=f"{package} {version}",
        )
        dsc = folder / f"{package}_{version.partition(':')[2] or version}.dsc"
        if not dsc.is_file():
            raise Failure(f"apt-get did not download {dsc.name} to {folder}")
        return dsc

    def binary_version(self, package: str) -> str | None:
        """Return the newest version of a binary package, or None when it does not exist."""
        result = self._run("apt-cache", "show", "--no-all-versions", "--", package, check=False)
        match = re.search(r"^Version: (\S+)$", result.stdout, re.MULTILINE)
        return match[1] if match else None

    def fetch_binary(self, packages: Sequence[str], folder: Path) -> None:
        """Download binary packages, which apt checks, and unpack them into `folder`."""
        self.update()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="debs.") as name:
            debs = Path(name)
            self._follow("apt-get", "download", "--", *packages, cwd=debs, doing=" ".join(packages))
            for deb in sorted(debs.glob("*.deb")):
                console.progress(f"unpacking {deb.name}")
                run("dpkg-deb", "--extract", deb, folder)

    def _run(self, *argv: str, check: bool = True) -> Result:
        self.update()
        return run(*self._with_config(argv), env=_environment(), check=check)

    def _follow(self, *argv: str, doing: str, cwd: Path | None = None) -> None:
        """Run apt and show its progress. Raises Failure with apt's error lines."""
        if argv[1] != "update":
            self.update()
        heartbeat = console.Heartbeat()
        output: list[str] = []

        def on_line(line: str) -> None:
            heartbeat.beat(f"{doing}: {line}")
            output.append(line)

        code = follow(*self._with_config(argv), on_line=on_line, cwd=cwd, env=_environment())
        if code:
            errors = [line for line in output if line.startswith(("E:", "W:"))] or output[-5:]
            raise Failure(
                f"{' '.join(argv)} exited with {code}\n" + "\n".join(errors),
                "check the network, or set mirror.apt to a reachable Debian archive",
            )

    def _with_config(self, argv: Sequence[str]) -> list[str]:
        if shutil.which(argv[0]) is None:
            raise Failure(
                f"{argv[0]} is not installed: packages need Debian or a distribution based on it",
                "set origin.git or origin.path for the Kubernetes source, and mirror.goproxy or"
                " mirror.go for Go",
            )
        return [argv[0], "--config-file", str(self._config), "--quiet", *argv[1:]]


def compare(left: str, right: str) -> int:
    """Compare two Debian versions as dpkg does; return a negative number, 0 or a positive one."""
    if left == right:
        return 0
    return 1 if run("dpkg", "--compare-versions", left, "gt", right, check=False).code == 0 else -1


def _options(folder: Path, mirror: Mirror, ca_file: str, hosts: Sequence[str]) -> str:
    """Return the apt configuration that is read after the system's: private folders, strict.

    `hosts` are those of the https addresses: the system's settings of a host are replaced too.
    """
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
        "APT::Sandbox::User": "root",  # the user _apt cannot read a private folder
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
    for section in ("https", *(f"https::{host}" for host in hosts)):
        values |= {f"Acquire::{section}::Verify-{name}": "true" for name in ("Peer", "Host")}
    if ca_file:
        values["Acquire::https::CaInfo"] = ca_file
    for value in map(str, values.values()):
        if '"' in value or "\n" in value:
            raise Failure(
                f"apt cannot use the path {value!r}: it has a quote or a line break",
                "set STEPKUBE_HOME to another folder, or origin.git instead of apt",
            )
    cleared = [f"#clear {hook};" for hook in _HOOKS]
    return "\n".join([*cleared, *(f'{key} "{value}";' for key, value in values.items())]) + "\n"


def _environment() -> Mapping[str, str]:
    """Return the environment of apt: with the proxies, and LC_ALL=C because we parse its output."""
    return {**os.environ, **network.proxy_variables(os.environ), "LC_ALL": "C"}
