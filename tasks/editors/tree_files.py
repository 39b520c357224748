"""Write and remove editor files in a tree without changing the user's entries.

A journal in the instance's folder records the state of each tree before the first change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tasks.core.errors import Failure
from tasks.editors import confined, jsonc_edit, jsonc_parser
from tasks.editors.configurations import with_patterns
from tasks.editors.naming import EMPTY, LAUNCH, LISTS, Naming
from tasks.settings.load import Settings
from tasks.system import files, state
from tasks.system.git import Git

JOURNAL = "ide.json"


@dataclass(frozen=True)
class Journal:
    """The state of a tree before the tool changed it."""

    made: tuple[str, ...] = ()
    """Files and folders that did not exist."""
    before: str = ""
    """launch.json without the instance's entries."""
    after: str = ""
    """The digest of launch.json with the instance's entries."""
    tasks_before: str = ""
    """tasks.json without the instance's entries."""
    tasks_after: str = ""
    """The digest of tasks.json with the instance's entries."""
    added: tuple[str, ...] = ()
    """Lists that the user's files did not have, such as .vscode/launch.json:compounds."""
    instance: str = "default"
    """The instance in the names; an older stepkube wrote the names of default for each one."""

    def text(self, name: str) -> tuple[str, str]:
        """Return the text before, and the digest after, of a file that may be the user's."""
        launch = (self.before, self.after)
        return launch if name == LAUNCH else (self.tasks_before, self.tasks_after)

    def with_text(self, name: str, before: str, after: str) -> Journal:
        """Return the journal with another text before and digest after of a file."""
        added = {f"{name}:{key}" for key in set(LISTS[name]) - jsonc_edit.keys(before)}
        journal = replace(self, added=tuple(sorted(added.union(self.added))))
        if name == LAUNCH:
            return replace(journal, before=before, after=after)
        return replace(journal, tasks_before=before, tasks_after=after)


def restore(tree: Path, journal: Journal) -> None:
    """Remove the tool's files and entries from a tree; the user's stay.

    A file stays too if a link leads to it that `require_allowed` refuses.
    """
    exclude, _ = exclude_file(tree)
    naming = Naming(journal.instance)
    restored = {
        tree / name: without_tool_entries(tree, name, journal)
        for name in LISTS
        if _is_allowed(tree / name, tree)
    }
    if exclude is not None and _is_allowed(exclude, tree):
        restored[exclude] = with_patterns(read(exclude, tree), tree, naming.word, ())
    blank = {"", *("".join(text.split()) for text in EMPTY.values())}
    for path, text in restored.items():
        is_empty = "".join(text.split()) in blank
        if is_empty and str(path) in journal.made:
            confined.remove(path, _base(path, tree))
        elif path.exists():
            write(path, text, tree)
    for name in naming.tool_files:
        if _is_allowed(tree / name, tree):
            confined.remove(tree / name, tree)
    for place in map(Path, reversed(journal.made)):
        if place.is_dir() and not place.is_symlink() and _is_allowed(place, tree):
            confined.remove(place, _base(place, tree))


def require_allowed(tree: Path, exclude: Path | None, names: Iterable[str]) -> None:
    """Raise Failure if some files, or git's exclude file, may not be written.

    A link must not lead out of the tree, or out of git's folder, unless it belongs to the user (see
    `confined.require`) and git does not track it: a repository can contain any link.
    """
    for path in (*(tree / name for name in names), *([exclude] if exclude else [])):
        base = _base(path, tree)
        if confined.require(path, base).is_relative_to(base.resolve()):
            continue
        _, links = confined.follow(path, base)
        inside = [str(link) for link in links if link.is_relative_to(tree.resolve())]
        for link in tracked(tree, inside) if inside else ():
            raise Failure(
                f"{tree / link} is a link that leads out of {tree}, and git tracks it: nothing was"
                " written",
                "remove this link, or use --editor to leave out the editor",
            )


def _is_allowed(path: Path, tree: Path) -> bool:
    try:
        require_allowed(tree, None, [str(path)])
    except Failure:
        return False
    return True


def _base(path: Path, tree: Path) -> Path:
    """Return the folder that a path must not leave: the tree, or git's folder."""
    if path.is_relative_to(tree) and ".git" not in path.relative_to(tree).parts:
        return tree
    return next(folder for folder in path.parents if folder.name != "info")


def without_tool_entries(tree: Path, name: str, journal: Journal) -> str:
    """Return a file (see LISTS) without the instance's entries, with all changes of the user.

    Raises Failure with the line when it cannot be parsed.
    """
    path, lists = tree / name, LISTS[name]
    before, after = journal.text(name)
    try:
        text = confined.read(path, tree).decode()
        if not text.strip():
            return text
        if files.digest(text) == after:
            return before
        added = {key for key in lists if f"{name}:{key}" in journal.added}
        if str(path) in journal.made:
            added.update(lists)
        elif after:
            added.update(set(lists) - jsonc_edit.keys(before))
        return jsonc_edit.remove(text, lists, Naming(journal.instance).prefix, drop=added)
    except UnicodeDecodeError as error:
        line, problem = error.object[: error.start].count(b"\n") + 1, "it is not UTF-8"
    except jsonc_parser.ParseError as error:
        line, problem = error.line, str(error)
    raise Failure(f"{path}:{line}: {problem}", "correct that line, or move the file away")


def exclude_file(tree: Path) -> tuple[Path | None, str]:
    """Return git's exclude file of a tree, and the tree's path in its repository.

    None for a tree without a repository, such as an unpacked archive.
    """
    arguments = ("rev-parse", "--git-path", "info/exclude", "--show-prefix")
    result = Git(tree).run(*arguments, check=False)
    if result.code:
        return None, ""
    path, prefix = result.stdout.split("\n")[:2]
    return tree / path, prefix


def tracked(tree: Path, names: Iterable[str]) -> list[str]:
    """Return the files that git tracks: git shows their changes even if they are excluded."""
    result = Git(tree).run("ls-files", "-z", "--", *names, check=False)
    return result.stdout.split("\0")[:-1]


def read(path: Path, tree: Path) -> str:
    """Return a file's text, which `write` writes back byte for byte; empty if it does not exist."""
    return confined.read(path, _base(path, tree)).decode(errors="surrogateescape")


def missing(path: Path) -> list[Path]:
    """Return the paths that must be created for a file: the file and its parent folders."""
    return [place for place in (path, *path.parents) if not place.exists()]


def write(path: Path, text: str, tree: Path) -> bool:
    """Write a file, or the file in the tree that its link points to; return whether it changed.

    A file keeps its owner; a new file or folder gets the owner of the tree.
    """
    owner = tree.stat()
    data = text.encode(errors="surrogateescape")
    return confined.write(path, data, _base(path, tree), (owner.st_uid, owner.st_gid))


def remove(tree: Path, paths: Iterable[Path]) -> None:
    """Remove files in the tree that `require_allowed` has allowed."""
    for path in paths:
        confined.remove(path, tree)


def journals(settings: Settings) -> dict[str, Journal]:
    """Return the journals of all trees that this instance wrote to, by path of the tree."""
    return state.load(settings.paths.instance / JOURNAL, dict[str, Journal]) or {}


def start(settings: Settings, tree: Path) -> Journal:
    """Return the journal of a tree, with what other instances recorded about the user's files.

    The last instance that is cleaned restores the state before the first one.
    """
    mine = journals(settings).get(str(tree))
    naming = Naming(settings.name)
    if mine is not None and mine.instance != naming.instance:
        restore(tree, mine)
        mine = None
    journal = mine or Journal(instance=naming.instance)
    for path in sorted(settings.paths.instance.parent.glob(f"*/{JOURNAL}")):
        other = (state.load(path, dict[str, Journal]) or {}).get(str(tree), Journal())
        made = tuple(sorted({*journal.made, *other.made}))
        journal = replace(journal, made=made, added=tuple(sorted({*journal.added, *other.added})))
    return journal


def save(settings: Settings, journals_by_tree: Mapping[str, Journal]) -> None:
    """Write the journals; remove the file when there are none."""
    path = settings.paths.instance / JOURNAL
    if journals_by_tree:
        value = {tree: asdict(journal) for tree, journal in journals_by_tree.items()}
        files.write_json(path, value, 0o600)
    else:
        path.unlink(missing_ok=True)
