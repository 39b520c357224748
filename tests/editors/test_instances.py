"""Several instances use one checkout; each one changes only its own files and entries."""

import json
from pathlib import Path

import pytest

from tasks.editors import naming
from tests.support.launches import (
    NAMING,
    PORTS,
    clean,
    contents,
    launch,
    user_writes,
    with_checkout,
    write,
)


@pytest.mark.parametrize("text", [None, '{\n  "configurations": [\n    {"name": "a"}\n  ]\n}\n'])
@pytest.mark.parametrize("order", [("default", "two"), ("two", "default")])
@pytest.mark.parametrize("first_cleaned", [0, 1])
def test_two_instances_share_a_checkout(
    tmp_path: Path, tree: Path, text: str | None, order: tuple[str, str], first_cleaned: int
) -> None:
    if text is not None:
        user_writes(tree, text)
    before = contents(tree)
    both = [with_checkout(tmp_path, tree, STEPKUBE_INSTANCE=name) for name in order]
    alone = {}
    for chosen in both:
        assert not write(chosen)
    for chosen in both:
        names = naming.Naming(chosen.name)
        alone[chosen.name] = {
            str(entry["name"]): entry["port"]
            for entry in launch(tree)["configurations"]
            if entry["name"].startswith(names.prefix)
        }
        base = chosen.debug.base_port
        assert [*alone[chosen.name].values()] == [base + port - 39990 for port in PORTS.values()]
        assert (tree / names.snippet).is_file() and (tree / names.goland["kubelet"]).is_file()
    assert all(str(port) in name for name, port in alone["two"].items())
    settled = contents(tree)
    for chosen in both:
        assert not write(chosen)
    assert contents(tree) == settled, "a second run changes nothing"
    gone, stays = both[first_cleaned], both[1 - first_cleaned]
    assert not clean(gone)
    kept = {
        entry["name"]: entry["port"]
        for entry in launch(tree)["configurations"]
        if entry["name"] != "a"
    }
    assert kept == alone[stays.name]
    assert (tree / naming.Naming(stays.name).snippet).is_file()
    assert not (tree / naming.Naming(gone.name).snippet).exists()
    assert not clean(stays)
    assert contents(tree) == before


def test_an_instance_of_an_older_stepkube_gives_up_the_names_of_default(
    tmp_path: Path, tree: Path
) -> None:
    before = contents(tree)
    two = with_checkout(tmp_path, tree, STEPKUBE_INSTANCE="two")
    old = two.paths.instance / "ide.json"
    assert not write(with_checkout(tmp_path, tree))
    default = old.parent.parent / "default/ide.json"
    record = json.loads(default.read_text())
    for journal in record.values():
        journal.pop("instance")
    old.parent.mkdir(parents=True, exist_ok=True)
    old.write_text(json.dumps(record))
    default.unlink()
    assert not write(two)
    assert all(
        entry["name"].startswith("stepkube@two: ") for entry in launch(tree)["configurations"]
    )
    assert not (tree / NAMING.snippet).exists()
    assert not clean(two)
    assert contents(tree) == before
