"""doit's database: a cache that can be damaged, removed or unwritable and stops no command."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from doit.dependency import SqliteDB

from tasks.core import console

TABLE = "create table if not exists doit (task_id text not null primary key, task_data json)"
SAVE = (
    "insert into doit values (?, ?) on conflict (task_id) do update"
    " set task_data = excluded.task_data where task_data is not excluded.task_data"
)
"""Saves a row; one that did not change costs no write."""
_LOCK_TIMEOUT = 30.0
"""Seconds to wait for another run that writes the database."""


def install() -> None:
    """Let doit open its database as a Database; doit offers no other hook to a dodo.py."""
    SqliteDB._sqlite3 = lambda _, name: Database(Path(name))


class Database:
    """A connection to doit's database with the methods that doit uses.

    After the first error of SQLite it continues in memory: tasks can run again that were up to
    date, and nothing else is lost.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = _opened(str(path))
        except sqlite3.Error as error:
            if path.is_file() and _is_damaged(error):
                self._replace(error)
            else:
                self._continue_in_memory(error)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Run a statement and return its cursor."""
        return self._call(lambda: self._connection.execute(sql, values))

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> Any:
        """Run a statement once per row and return its cursor."""
        return self._call(lambda: self._connection.executemany(sql, rows))

    def commit(self) -> None:
        """Write the changes."""
        self._call(lambda: self._connection.commit())  # noqa: PLW0108 - another one after an error

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _call(self, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._connection.rollback()
            if _is_damaged(error):
                self._connection.close()
                self._replace(error)
            else:
                self._continue_in_memory(error)
            return function()

    def _replace(self, error: sqlite3.Error) -> None:
        """Remove a damaged file and make a new one."""
        try:
            for suffix in ("", "-journal", "-wal", "-shm"):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)
            self._connection = _opened(str(self._path))
        except (sqlite3.Error, OSError):
            self._continue_in_memory(error)
        else:
            console.warn(f"{self._path} was damaged ({error}) and is made again; tasks run again")

    def _continue_in_memory(self, error: sqlite3.Error) -> None:
        memory = _opened(":memory:")
        with suppress(sqlite3.Error, AttributeError):  # there may be no connection yet
            self._connection.backup(memory)
            self._connection.close()
        self._connection = memory
        console.warn(
            f"{self._path} cannot be used ({error}): the next run repeats the tasks of this run"
        )


def _opened(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=_LOCK_TIMEOUT)
    connection.row_factory = _as_dict
    try:
        # after a power cut the file may be damaged, and it is made again: it is a cache
        connection.execute("pragma synchronous = off")
        connection.execute(TABLE)
        connection.execute("select task_id, task_data from doit limit 1").fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _as_dict(cursor: sqlite3.Cursor, row: Sequence[Any]) -> dict[str, Any]:
    names = [column[0] for column in cursor.description]
    found = dict(zip(names, row, strict=True))
    if "task_data" in found:
        found["task_data"] = _task_data(found["task_data"])
    return found


def _task_data(text: Any) -> dict[str, Any]:
    """Return the data of a task; empty if the row is damaged."""
    with suppress(ValueError, TypeError):
        value = json.loads(text)
        if isinstance(value, dict):
            return value
    return {}


def _is_damaged(error: sqlite3.Error) -> bool:
    # a file with another table is as useless as a file that is not a database
    damaged = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in damaged
