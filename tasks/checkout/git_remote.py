"""Client of a git address: its refs, and transfers that do not stall, prompt or show a password."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tasks.checkout.base import Unreachable
from tasks.core import console, redact
from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.settings.paths import expanded
from tasks.system import git, network
from tasks.system.git import Git
from tasks.system.run import follow, run

_TRIES = 3
REFUSED = re.compile(
    r"not our ref|unadvertised object|dumb http|not support|couldn't find remote ref|a shallow repo"
)
"""Matches git's output if the server refuses the request in this form."""
_MISSING_OBJECT = re.compile(
    r"(?:not our ref|unable to read|missing blob object|bad object|object) '?([0-9a-f]{40})"
)
_BROKEN = re.compile(r"possible repository corruption|missing \w+ object|pack-objects died")
_HELPER = '!f() { echo "username=$STEPKUBE_GIT_USER"; echo "password=$STEPKUBE_GIT_WORD"; }; f'


class Remote:
    """A git address; `repository` is a local repository whose remote `origin` has this address."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.settings = settings
        self.url, self._user, self._password = redact.split(_absolute(url))

    def refs(self, repository: Path, *names: str) -> dict[str, str]:
        """Return ref name -> commit of the refs with these names, else of all branches and tags.

        Raises Unreachable if the address does not answer.
        """
        limit = self.settings.origin.timeout
        options = () if names else ("--heads", "--tags")
        arguments = ("ls-remote", *options, "--", "origin", *names)
        argv = Git(repository).argv(*self._config(), *arguments)
        try:
            listing = run(*argv, cwd=repository, timeout=limit, check=False, env=self.environment())
        except Failure as failure:
            raise Unreachable(f"no answer within {limit:g} s", failure.hint) from failure
        if listing.code:
            raise Unreachable(_reason(listing.tail()))
        pairs = (line.partition("\t")[::2] for line in listing.stdout.splitlines())
        commits = {name: commit for commit, name in pairs}
        return {name: commits.get(f"{name}^{{}}", commit) for name, commit in commits.items()}

    def transfer(
        self, repository: Path, what: str, *arguments: str, negotiation: str = "default"
    ) -> str:
        """Fetch refs or objects, up to three times; return an error message, empty on success.

        `what` names them in the progress. With `negotiation="noop"` git does not send the commits
        of the repository: the server would omit the files of these commits.
        """
        heartbeat = console.Heartbeat()
        options = ("--progress", "--no-tags", "--recurse-submodules=no")
        output: list[str] = []

        def on_line(line: str) -> None:
            heartbeat.beat(f"fetching {what} from {redact.mask(self.url)}: {line.strip()}")
            if not re.search(r"\d+%|^remote: (Enum|Count|Compr|Total)|^From ", line):
                output.append(line)

        refs = [argument for argument in arguments if not argument.startswith("--")]
        flags = [argument for argument in arguments if argument.startswith("--")]
        for _ in range(_TRIES):
            output.clear()
            config = (*self._config(), "-c", f"fetch.negotiationAlgorithm={negotiation}")
            fetch = (*config, "fetch", *options, *flags, "--", "origin", *refs)
            argv = Git(repository).argv(*fetch)
            if not follow(*argv, on_line=on_line, cwd=repository, env=self.environment()):
                return ""
            if any(REFUSED.search(line) or _BROKEN.search(line) for line in output):
                break
        return _reason("\n".join(output)) or "the transfer was interrupted"

    def environment(self) -> dict[str, str]:
        """Return the environment of git: without prompts, the password in a variable."""
        env = git.environment(network.environment(self.settings))
        env.pop("GIT_ALLOW_PROTOCOL", None)  # it is stronger than protocol.http.allow
        return env | {
            "GCM_INTERACTIVE": "never",
            "GIT_ASKPASS": "",
            "GIT_SSH_COMMAND": f"{env.get('GIT_SSH_COMMAND') or 'ssh'} -o BatchMode=yes",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
            "SSH_ASKPASS_REQUIRE": "never",
            "STEPKUBE_GIT_USER": self._user,
            "STEPKUBE_GIT_WORD": self._password,
        }

    def _config(self) -> list[str]:
        """Return the `-c` arguments of git: stop stalled transfers, use the address's password.

        An https address keeps TLS with verification; the user's configuration cannot disable it.
        git uses the setting of the most specific address. No redirect leads to http.
        """
        config = [
            "http.lowSpeedLimit=1",
            f"http.lowSpeedTime={max(1, round(self.settings.mirror.timeout))}",
        ]
        if self.is_local:
            config.append(f"remote.origin.uploadpack={self._server()}")
        parts = urlsplit(self.url)
        if parts.scheme == "https":
            config += ["protocol.http.allow=never", "http.sslVerify=true"]
            config.append(f"http.https://{parts.netloc}{parts.path}.sslVerify=true")
        if self._user or self._password:
            config.append(f"credential.{parts.scheme}://{parts.netloc}.helper={_HELPER}")
        return [argument for pair in config for argument in ("-c", pair)]

    def _server(self) -> str:
        """Return the server of a local repository; it allows requests for single files."""
        is_url = self.url.startswith("file://")
        folder = Path(unquote(urlsplit(self.url).path) if is_url else self.url)
        if not folder.is_dir():
            return "git-upload-pack"
        return shlex.join(Git(folder).argv("-c", "uploadpack.allowFilter=true", "upload-pack"))

    @property
    def is_local(self) -> bool:
        """Whether the address is a folder of this machine; git then starts its own server."""
        return self.url.startswith("file://") or Path(self.url).is_dir()


def missing_object(error: str) -> str:
    """Return the object that the server does not have, from the error of a transfer, or empty."""
    match = _MISSING_OBJECT.search(error)
    return match[1] if match else ""


def git_version() -> tuple[int, int]:
    """Return the version of git as numbers."""
    match = re.search(r"(\d+)\.(\d+)", run("git", "version").stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _absolute(url: str) -> str:
    """Return a local path as an absolute path: git resolves a relative one in its own folder."""
    path = expanded(url)
    if "://" not in url and path.exists():
        return os.path.abspath(path)  # noqa: PTH100 - symbolic links must not be resolved
    return url


def _reason(output: str) -> str:
    """Return the line of git's output that names the error, with the setting that fixes it."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if missing_object(line)]
    errors = errors or [line for line in lines if line.startswith(("fatal:", "error:"))]
    errors = errors or lines[-1:]
    text = errors[0] if errors else ""
    if re.search(r"certificate", text, re.IGNORECASE):
        text += "; set mirror.ca_bundle (SSL_CERT_FILE) to the certificate of the signing authority"
    return text
