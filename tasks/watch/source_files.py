"""Files to watch: those of the packages that the modules of the cluster are built from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.build import recorded
from tasks.core.errors import Failure
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings

SUFFIXES = (".go", ".s", ".S", ".c", ".h", ".cc", ".cpp", ".hpp", ".syso")
"""Suffixes of the files that go compiles when they are new in the folder of a package."""
DEBOUNCE = 200
"""Milliseconds without a change that end a save: an editor writes more than one file."""
LONGEST_SAVE = 10_000
"""Milliseconds after which a round starts although files still change."""
TICK = 500
"""Milliseconds between two empty results of `changes`."""


@dataclass(frozen=True)
class SourceFiles:
    """The files of modules, by module; paths are absolute."""

    files: Mapping[str, frozenset[str]]
    packages: Mapping[str, frozenset[str]]
    """The folders in which go compiles a new file, by module."""

    def affected(self, paths: Iterable[str]) -> list[str]:
        """Return the modules for which one of these changed files counts."""
        changed = list(paths)
        return [module for module in self.files if any(self._counts(module, p) for p in changed)]

    def all_folders(self) -> list[str]:
        """Return the folders to watch."""
        folders = {_folder(path) for paths in self.files.values() for path in paths}
        return sorted(folder for folder in folders if Path(folder).is_dir())

    def _counts(self, module: str, path: str) -> bool:
        if path in self.files[module]:
            return True
        name = path.rpartition("/")[2]
        hidden = name.startswith((".", "_")) or name.endswith("_test.go")  # go ignores these too
        return not hidden and name.endswith(SUFFIXES) and _folder(path) in self.packages[module]


def load(settings: Settings, modules: Iterable[str]) -> SourceFiles:
    """Return the files that the modules are built from now, as the last build recorded them."""
    tree = load_checkout(settings.paths.lock).tree.resolve()
    files: dict[str, frozenset[str]] = {}
    packages: dict[str, frozenset[str]] = {}
    for module in modules:
        lines = recorded.digests(settings, module).text.splitlines()
        paths = (line.split("  ", 1)[1] for line in lines)
        files[module] = frozenset(f"{tree}/{path}" for path in paths if not path.startswith("$"))
        compiled = (path for path in files[module] if path.endswith(SUFFIXES))
        packages[module] = frozenset(map(_folder, compiled))
    return SourceFiles(files, packages)


@contextmanager
def changes(folders: Iterable[str]) -> Iterator[Iterator[list[str]]]:
    """Watch folders, without those in them; yield an iterator over lists of changed files.

    A list is empty if nothing changed for TICK milliseconds. Changes during the work of the caller
    are kept for the next list. Raises Failure if the kernel cannot watch so many folders.
    """
    import watchfiles  # noqa: PLC0415 - `doit list` stays fast

    watcher = watchfiles.watch(
        *folders,
        watch_filter=None,
        debounce=LONGEST_SAVE,
        step=DEBOUNCE,
        rust_timeout=TICK,
        yield_on_timeout=True,
        recursive=False,
        force_polling=False,
    )
    lists = ([path for _, path in found] for found in watcher)
    try:
        first = next(lists)  # from now on no change is missed
        yield _with_first(first, lists)
    except OSError as error:
        raise Failure(
            f"cannot watch the source files: {error}",
            "as root, run: sysctl -w fs.inotify.max_user_watches=524288"
            " fs.inotify.max_user_instances=1024",
        ) from error
    finally:
        lists.close()
        watcher.close()


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _with_first(first: list[str], rest: Iterator[list[str]]) -> Iterator[list[str]]:
    yield first
    yield from rest
