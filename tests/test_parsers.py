"""Parsers get any input: only a Failure may come out. HYPOTHESIS_PROFILE=long tries more."""

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tasks.bundle import index
from tasks.check import conflicts, formats
from tasks.core import redact
from tasks.core.errors import Failure
from tasks.debug.journal import Swap
from tasks.editors import jsonc_parser
from tasks.gomod.release import release
from tasks.kubernetes import facts, releases, version_stamp
from tasks.settings import load, yaml_file
from tasks.settings.table import table
from tasks.system import state
from tasks.system.damage import DamagedError
from tasks.system.process import Record

TEXT = some.text(max_size=30) | some.sampled_from(
    ["10.0.0.1", "::1", "~nobody-known/x", "٣٠", "a\0b", "\udcff", "9" * 5000, "-", ",", "=", "\n"]
)
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | TEXT,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
YAML = ["[", "{", "}", "]", ": ", "- ", "&a ", "*a", "!!int ", "!!binary ", "!x ", "2020-13-45"]
YAML += ["\n", "api", "version", '"', "? ", "<<", "0x", "1:99", "~", "\x00", "|", ">"]


@given(key=some.sampled_from([row.key for row in table()]), value=TEXT)
def test_settings_of_the_command_line(key: str, value: str) -> None:
    with suppress(Failure):
        made = load.load({"STEPKUBE_HOME": "/nowhere"}, {key: value}, Path("/dev/null"))
        assert made.is_given(key)
        minor = facts.minor("1.28").minor
        assert all(map(str, conflicts.conflicts(made, minor)))
        assert all(map(str, formats.format_problems(made, minor)))


@pytest.mark.parametrize("value", ["10.0.0.1", "fd00::/128", "10.0.0.0/29"])
def test_a_service_range_without_room_is_refused(value: str) -> None:
    arguments = {"api.service_cluster_ip_range": value}
    made = load.load({"STEPKUBE_HOME": "/nowhere"}, arguments, Path("/dev/null"))
    problems = list(formats.format_problems(made, facts.minor("1.28").minor))
    assert any("api.service_cluster_ip_range" in problem.message for problem in problems)


@given(some.lists(some.sampled_from(YAML), max_size=12).map("".join) | some.text(max_size=40))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_stepkube_yaml(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder, suppress(Failure):
        file = Path(folder) / "stepkube.yaml"
        file.write_bytes(text.encode(errors="surrogateescape"))
        assert isinstance(yaml_file.read(file, explicit=True), dict)


@pytest.mark.parametrize("kind", [Record, Swap])
@given(value=JSON)
def test_records_and_journals(kind: type, value: Any) -> None:
    with suppress(DamagedError):
        assert isinstance(state.parse(json.dumps(value), kind), kind)


@given(some.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_the_index_of_a_bundle(data: bytes) -> None:
    with pytest.raises(Failure):
        index.parse(data, "k.tar.gz")


@given(JSON)
def test_json_is_json_with_comments(value: Any) -> None:
    text = json.dumps({"a": value if _is_strict(value) else None})
    found = jsonc_parser.parse(f"// a\n{text} /* b */").value
    assert found == json.loads(text)


def _is_strict(value: Any) -> bool:
    with suppress(ValueError):
        return bool(json.dumps(value, allow_nan=False))
    return False


@given(TEXT)
def test_versions(text: str) -> None:
    assert release(text) is None or text.isascii()
    releases.is_release(text)
    assert version_stamp.describe(version_stamp.describe(text)) == version_stamp.describe(text)


@given(
    user=some.from_regex(r"[a-z]{1,9}", fullmatch=True),
    secret=some.from_regex(r"[A-Za-z0-9%._~!$&()*+,;=:-]{12,20}", fullmatch=True),
    scheme=some.sampled_from(["https", "http", "git+ssh", "postgres"]),
)
def test_no_password_survives(user: str, secret: str, scheme: str) -> None:
    text = f"cannot read {scheme}://{user}:{secret}@host/path now"
    assert secret not in redact.mask(text)
    assert redact.mask(redact.mask(text)) == redact.mask(text)
