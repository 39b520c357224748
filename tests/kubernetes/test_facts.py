import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.settings.load import ROOT

MINORS = facts.minors()
OLDEST, NEWEST = MINORS[0], MINORS[-1]
EVIDENCE = re.compile(r"[VTRXPIM](,[VTRXPIM])*")
CONFIGURATION_FILES = {"kubelet.yaml"}


def eras() -> Iterator[object]:
    """Yield every fact and endpoint with its rows."""
    for table in ("facts", "health"):
        for name, rows in facts.data()[table].items():
            yield pytest.param(rows, id=f"{table}-{name}")


def flags() -> Iterator[object]:
    for component, rows in facts.data()["flags"].items():
        for flag, row in rows.items():
            yield pytest.param(row, id=f"{component}-{flag}")


@pytest.mark.parametrize("rows", list(eras()))
def test_every_era_has_evidence_and_is_in_order(rows: dict[str, Any]) -> None:
    assert next(iter(rows)) == "1.10"
    assert sorted(rows, key=facts.parse) == list(rows)
    for since, (_, evidence) in rows.items():
        assert facts.parse(since) in MINORS
        assert EVIDENCE.fullmatch(evidence)


@pytest.mark.parametrize("row", list(flags()))
def test_every_flag_has_evidence_and_a_valid_range(row: dict[str, Any]) -> None:
    assert set(row) <= {"since", "until", "hidden", "evidence"}
    assert EVIDENCE.fullmatch(row["evidence"])
    since, until = row.get("since", str(OLDEST)), row.get("until", str(NEWEST))
    assert OLDEST <= facts.parse(since) <= facts.parse(until) <= NEWEST


@pytest.mark.parametrize("minor", MINORS)
def test_every_minor_is_complete(minor: facts.Minor) -> None:
    found = facts.minor(minor)
    assert found.minor == minor
    assert not found.note
    assert found.cri
    assert not set(found.admission) & set(found.admission_removed)


def test_the_file_and_the_dataclass_have_the_same_facts() -> None:
    derived = {"minor", "note", "health", "admission_removed"}
    assert set(facts.data()["facts"]) == {item.name for item in fields(facts.Facts)} - derived


def test_every_fact_is_used() -> None:
    output = re.compile(r"(?:\)|facts|known|now|about)\.(\w+)|first_minor\(\"(\w+)\"")
    text = "".join(file.read_text() for file in (ROOT / "tasks").rglob("*.py"))
    found = {name for names in output.findall(text) for name in names}
    assert {item.name for item in fields(facts.Facts)} <= found | {"minor"}


@pytest.mark.parametrize("text", ["1.20", "v1.20.2", "v1.20.0-alpha.1", "1.20.2+dirty"])
def test_a_version_names_its_minor(text: str) -> None:
    assert facts.minor(text) is facts.minor(facts.Minor(1, 20))


@pytest.mark.parametrize("text", ["", "main", "1", "v1.x"])
def test_a_text_without_a_version_is_refused(text: str) -> None:
    with pytest.raises(Failure, match=rf"^{text!r} is not a"):
        facts.minor(text)


@pytest.mark.parametrize("text", ["1.9", "v1.2.0", "0.30"])
def test_older_than_known_is_refused(text: str) -> None:
    with pytest.raises(Failure, match=r"older than 1\.10") as caught:
        facts.minor(text)
    assert "1.10" in caught.value.hint


def test_newer_than_known_is_the_newest_with_a_note() -> None:
    found = facts.minor("1.99")
    assert "1.99" in found.note and str(NEWEST) in found.note
    assert found.minor == (1, 99)
    assert found.admission == facts.minor(NEWEST).admission


def test_facts_change_with_the_minor() -> None:
    assert facts.minor("1.15").health["kube-apiserver"].path == "/healthz"
    assert facts.minor("1.16").health["kube-apiserver"].path == "/readyz"
    assert facts.minor("1.18").build_tags == ()
    assert facts.minor("1.19").build_tags == ("selinux",)
    assert facts.minor("1.20").build_tags == ("selinux", "notest")
    assert facts.minor("1.23").dockershim
    assert not facts.minor("1.24").dockershim


@pytest.mark.parametrize(
    ("component", "flag", "version", "known"),
    [
        ("kube-apiserver", "insecure-port", "1.23", True),
        ("kube-apiserver", "insecure-port", "1.24", False),
        ("kube-apiserver", "shutdown-watch-termination-grace-period", "1.26", False),
        ("kube-apiserver", "shutdown-watch-termination-grace-period", "1.27", True),
        ("kube-scheduler", "secure-port", facts.Minor(1, 12), False),
        ("kube-scheduler", "secure-port", facts.Minor(1, 13), True),
        ("kubelet", "cloud-config", "1.99", False),
        ("kubelet", "no-such-flag", "1.20", False),
    ],
)
def test_flag_ranges(component: str, flag: str, version: str | facts.Minor, known: bool) -> None:
    assert facts.flag_known(component, flag, version) is known
