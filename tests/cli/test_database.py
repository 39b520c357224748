"""doit's database: what a run that changes nothing writes."""

import json
import sqlite3
from pathlib import Path

from tasks.cli import database


def test_a_row_that_did_not_change_is_not_written(tmp_path: Path) -> None:
    opened = database.Database(tmp_path / "doit.sqlite")
    opened.executemany(database.SAVE, [("a", json.dumps({"x": 1})), ("b", "{}")])
    opened.commit()
    before = (tmp_path / "doit.sqlite").stat().st_mtime_ns
    opened.executemany(database.SAVE, [("a", json.dumps({"x": 1})), ("b", "{}")])
    opened.commit()
    assert (tmp_path / "doit.sqlite").stat().st_mtime_ns == before
    opened.executemany(database.SAVE, [("a", json.dumps({"x": 2}))])
    opened.commit()
    opened.close()
    with sqlite3.connect(tmp_path / "doit.sqlite") as connection:
        rows = dict(connection.execute("select task_id, task_data from doit"))
    assert rows == {"a": '{"x": 2}', "b": "{}"}
