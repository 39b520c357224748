"""Run git in one folder; no program that the folder's repository names is run.

git runs programs that a repository's configuration names: core.fsmonitor, hooks, filters and so on.
The owner of the repository can be another user than the caller.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.core.doit_run import once_per_run
from tasks.core.errors import Failure
from tasks.system.run import Result, run

_CONFIG = {
    "core.quotepath": "off",
    "gc.auto": "0",  # it runs in the background, while a folder is renamed
    "maintenance.auto": "false",
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "log.showSignature": "false",
    "protocol.ext.allow": "never",
    "safe.directory": "",  # clears the list
}
_PROGRAM = re.compile(
    r"filter\..*\.(clean|smudge|process|required)|hook\..*\.command"
    r"|core\.(askpass|gitproxy|sshcommand)|credential\.(.*\.)?helper|gpg\.(.*\.)?program"
    r"|remote\..*\.(receivepack|uploadpack|vcs)",
    re.DOTALL,
)
"""Matches the keys whose value is a program, see git-config(1). A diff needs two options instead:
--no-ext-diff and --no-textconv."""
_LFS_PROGRAM = re.compile(
    r"lfs\.(.*\.)?(standalonetransferagent|extension\..*|customtransfer\..*)", re.DOTALL
)
"""Matches the keys whose value is a program of Git LFS, see git-lfs-config(5)."""
_NO_LFS = {
    "filter.lfs.clean": "",
    "filter.lfs.smudge": "",
    "filter.lfs.process": "",
    "filter.lfs.required": "false",
}
_PASSED = re.compile(
    r"(?!GIT_).*|GIT_(ALLOW_PROTOCOL|ASKPASS|EXEC_PATH|PROXY_COMMAND|SSH(_COMMAND|_VARIANT)?"
    r"|SSL_(CAINFO|CAPATH|CERT|KEY)|TERMINAL_PROMPT"
    r"|CONFIG_(COUNT|GLOBAL|NOSYSTEM|SYSTEM|KEY_\d+|VALUE_\d+))"
)
"""Matches the variables that git gets. The others, such as GIT_DIR in a hook, name another
repository, or change its files."""
_LOCAL = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}


@dataclass(frozen=True)
class Git:
    """git in a folder that the user named, or that is in the workspace."""

    folder: Path
    repository: str = ""
    """The git folder, for a folder without a repository."""

    def run(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        stdin: str | None = None,
    ) -> Result:
        """Run a command that needs no network; `env` adds variables."""
        variables = {**environment(os.environ), **_LOCAL, **(env or {})}
        return run(*self.argv(*arguments), cwd=self.folder, env=variables, check=check, stdin=stdin)

    def argv(self, *arguments: str | Path) -> list[str]:
        """Return the argv of a git command, which must run in the folder.

        Raises Failure if the name of a program's key does not fit into an argument.
        """
        config = [
            f"{key}={value}" for key, value in {**_CONFIG, **self._without_programs()}.items()
        ]
        return [*self._start(config), *(str(argument) for argument in arguments)]

    def _start(self, config: list[str]) -> list[str]:
        folder = os.path.realpath(self.folder)
        if not folder.endswith("/*"):  # git would trust all folders next to it
            config = [*config, f"safe.directory={folder}", f"safe.directory={folder}/.git"]
        options = [argument for pair in config for argument in ("-c", pair)]
        if self.repository:
            options += ["--git-dir", self.repository, "--work-tree", "."]
        return ["git", "--no-optional-locks", "--no-pager", *options]

    def _without_programs(self) -> dict[str, str]:
        """Return values that switch off the programs in the configuration of the repository."""
        keys = self._keys()
        values = dict(_NO_LFS) if any(map(_LFS_PROGRAM.fullmatch, keys)) else {}
        for key in filter(_PROGRAM.fullmatch, keys):
            if "=" in key:
                raise Failure(
                    f"{self.folder}: git cannot switch off {key!r} of the repository",
                    "rename this key in the repository's configuration",
                )
            if key.startswith("hook."):
                values[f"{key.removesuffix('command')}enabled"] = "false"
            else:
                values[key] = "false" if key.endswith(".required") else ""
        return values

    def _keys(self) -> frozenset[str]:
        """Return the keys in the configuration of the repository.

        A run lists them again only if a file changed. It cannot see changes of included files.
        """
        folder = Path(self.repository) if self.repository else self.folder / ".git"
        identity = tuple(_identity(folder / name) for name in ("config", "config.worktree"))
        if identity[0] is None:  # a linked worktree, or a folder in a repository
            return self.list_keys()
        keys = _keys_of(self, identity)
        includes = any(key.startswith(("include.", "includeif.")) for key in keys)
        return self.list_keys() if includes else keys

    def list_keys(self) -> frozenset[str]:
        """Let git list the keys in the configuration of the repository."""
        start = self._start([f"{key}={value}" for key, value in _CONFIG.items()])
        env = {**environment(os.environ), **_LOCAL}
        keys: set[str] = set()
        for scope in ("--local", "--worktree"):
            listing = ("config", scope, "--includes", "--list", "--name-only", "-z")
            keys.update(
                run(*start, *listing, cwd=self.folder, env=env, check=False).stdout.split("\0")
            )
            if "extensions.worktreeconfig" not in keys:
                break
        return frozenset(keys)


@once_per_run
def _keys_of(git: Git, _identity: tuple[tuple[int, ...] | None, ...]) -> frozenset[str]:
    return git.list_keys()


def _identity(file: Path) -> tuple[int, ...] | None:
    """Return what changes when a file is written; None when it does not exist."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the variables that lead git to another repository."""
    return {name: value for name, value in environ.items() if _PASSED.fullmatch(name)}
