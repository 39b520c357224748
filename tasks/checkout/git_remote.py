"""A git address: what it has, and transfers from it that neither stall, ask, nor show a log-in."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from tasks.checkout.base import Unreachable
from tasks.core import console, redact
from tasks.core.errors import Failure
from tasks.kubernetes.tree import GIT
from tasks.settings.load import Settings
from tasks.system import network
from tasks.system.run import follow, run

_TRIES = 3
REFUSED = re.compile(
    r"not our ref|unadvertised object|dumb http|not support|couldn't find remote ref|a shallow repo"
)
"""How git says that a server does not give what it was asked for in this way."""
_LACKED = re.compile(
    r"(?:not our ref|unable to read|missing blob object|bad object|object) '?([0-9a-f]{40})"
)
_BROKEN = re.compile(r"possible repository corruption|missing \w+ object|pack-objects died")
_HELPER = '!f() { echo "username=$STEPKUBE_GIT_USER"; echo "password=$STEPKUBE_GIT_WORD"; }; f'
_SERVE = shlex.join((*GIT, "-c", "uploadpack.allowFilter=true", "upload-pack"))
"""The server's side of a repository of this machine: it gives files one by one."""


class Remote:
    """A git address, asked from a repository whose remote `origin` it is."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.settings = settings
        self.url, self._user, self._word = redact.split(_absolute(url))

    def refs(self, repository: Path, *words: str) -> dict[str, str]:
        """Return ref name -> commit: of the names given, else of all branches and tags.

        Raises Unreachable when the address does not answer.
        """
        limit = self.settings.origin.timeout
        which = ("origin", *words) if words else ("--heads", "--tags", "origin")
        argv = (*GIT, *self._config(), "ls-remote", *which)
        try:
            listing = run(*argv, cwd=repository, timeout=limit, check=False, env=self.environment())
        except Failure as failure:
            raise Unreachable(f"no answer within {limit:g} s", failure.hint) from failure
        if listing.code:
            raise Unreachable(_reason(listing.tail()))
        pairs = (line.partition("\t")[::2] for line in listing.stdout.splitlines())
        found = {name: commit for commit, name in pairs}
        return {name: found.get(f"{name}^{{}}", commit) for name, commit in found.items()}

    def transfer(self, repository: Path, what: str, *words: str, haves: str = "default") -> str:
        """Fetch from the address, again when it breaks off; return why not, or an empty text.

        With `haves="noop"` the server is not told what is here: it would leave out the files of a
        commit that it thinks we have.
        """
        beat = console.Heartbeat()
        options = ("--progress", "--no-tags", "--recurse-submodules=no")
        said: list[str] = []

        def heed(line: str) -> None:
            beat.beat(f"fetching {what} from {redact.mask(self.url)}: {line.strip()}")
            if not re.search(r"\d+%|^remote: (Enum|Count|Compr|Total)|^From ", line):
                said.append(line)

        refs = [word for word in words if not word.startswith("--")]
        flags = [word for word in words if word.startswith("--")]
        for _ in range(_TRIES):
            said.clear()
            config = (*self._config(), "-c", f"fetch.negotiationAlgorithm={haves}")
            if not follow(
                *GIT,
                *config,
                "-C",
                repository,
                "fetch",
                *options,
                *flags,
                "origin",
                *refs,
                on_line=heed,
                env=self.environment(),
            ):
                return ""
            if any(REFUSED.search(line) or _BROKEN.search(line) for line in said):
                break
        return _reason("\n".join(said)) or "the transfer broke off"

    def environment(self) -> dict[str, str]:
        """Return an environment in which git asks nobody and no argument holds a password."""
        env = network.environment(self.settings)
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
            env.pop(name, None)
        return env | {
            "GCM_INTERACTIVE": "never",
            "GIT_ASKPASS": "",
            "GIT_SSH_COMMAND": f"{env.get('GIT_SSH_COMMAND') or 'ssh'} -o BatchMode=yes",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
            "SSH_ASKPASS_REQUIRE": "never",
            "STEPKUBE_GIT_USER": self._user,
            "STEPKUBE_GIT_WORD": self._word,
        }

    def _config(self) -> list[str]:
        """Return git's words for a transfer that may not stall and logs in when it is asked to."""
        words = [
            "gc.auto=0",
            "maintenance.auto=false",
            "http.lowSpeedLimit=1",
            f"http.lowSpeedTime={max(1, round(self.settings.mirror.timeout))}",
        ]
        if self.is_local:
            words.append(f"remote.origin.uploadpack={_SERVE}")
        if self._user or self._word:
            parts = urlsplit(self.url)
            words.append(f"credential.{parts.scheme}://{parts.netloc}.helper={_HELPER}")
        return [word for pair in words for word in ("-c", pair)]

    @property
    def is_local(self) -> bool:
        """Tell whether the repository is a folder of this machine, served by a git we start."""
        return self.url.startswith("file://") or Path(self.url).is_dir()


def missing_objects(said: str) -> str:
    """Return the object that a repository has lost, by what a transfer said; empty for none."""
    found = _LACKED.search(said)
    return found[1] if found else ""


def git_version() -> tuple[int, int]:
    """Return the version of git as numbers."""
    match = re.search(r"(\d+)\.(\d+)", run("git", "version").stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _absolute(url: str) -> str:
    """Return a local path as an absolute one: git would look for it below its own folder."""
    place = Path(url).expanduser()
    if "://" not in url and place.exists():
        return os.path.abspath(place)  # noqa: PTH100 - links stay as they were written
    return url


def _reason(said: str) -> str:
    """Return the line of git's that says what is wrong, with the setting that mends it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if missing_objects(line)]
    told = told or [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:]
    text = told[0] if told else ""
    if re.search(r"certificate", text, re.IGNORECASE):
        text += "; name the authority that signed it in mirror.ca_bundle (SSL_CERT_FILE)"
    return text
