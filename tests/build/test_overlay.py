"""Replaced source files: which limits are found in a tree, and how go gets the replacements."""

import json
from pathlib import Path

import pytest

from tasks.build import overlay
from tasks.system import files

HANDLERS = "k8s.io/apiserver/pkg/endpoints/handlers/rest.go"
QUOTA = "resourcequota/controller.go"
QUOTA_WAIT = "\tselect {\n\tcase <-time.After(10 * time.Second):\n\t}\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (f"staging/src/{HANDLERS}", "\treturn 30 * time.Second\n"),
        (f"vendor/{HANDLERS}", "\treturn 34 * time.Second\n"),
        (f"staging/src/{HANDLERS}", "\trequestTimeoutUpperBound = 34 * time.Second\n"),
        (f"plugin/pkg/admission/{QUOTA}", QUOTA_WAIT),
        (f"staging/src/k8s.io/apiserver/pkg/admission/plugin/{QUOTA}", QUOTA_WAIT),
    ],
)
def test_a_limit_is_lifted_where_it_is(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    files.write(file, text)
    lifted = overlay.lifted_limits(tmp_path)
    assert list(lifted) == [str(file)]
    assert "24 * time.Hour" in lifted[str(file)] and " * time.Second" not in lifted[str(file)]
    assert len(lifted[str(file)].splitlines()) == len(text.splitlines())
    assert file.read_text() == text


@pytest.mark.parametrize(
    "text", [b"const another = 1\n", b"\treturn 34 * time.Second\n" * 2, b"\treturn 3\xff\n"]
)
def test_unknown_code_is_not_replaced(tmp_path: Path, text: bytes) -> None:
    files.write(tmp_path / "staging/src" / HANDLERS, text)
    assert overlay.lifted_limits(tmp_path) == {}


def test_each_go_gets_the_replacements_in_its_way(tmp_path: Path) -> None:
    root, folder = Path("/a tree"), tmp_path / "overlay"
    file = f"/a tree/vendor/{HANDLERS}"
    for go in ((1, 9), (1, 15), (1, 16)):
        variables = overlay.write({file: "text"}, go, folder)
        arguments = overlay.arguments({file: "text"}, root, go, folder)
        replacement = Path(f"{variables['STEPKUBE_OVERLAY']}{file}")
        if go == (1, 16):
            assert json.loads(Path(arguments[1]).read_text())["Replace"] == {file: str(replacement)}
            assert replacement.read_text() == "text"
        else:
            assert arguments[0] == "-toolexec" and str(overlay.TOOLEXEC) in arguments[1]
            assert replacement.read_text() == f"//line {file}:1\ntext"
        patterns = [word.partition("=")[0] for word in arguments if "-N -l" in word]
        package = str(Path(HANDLERS).parent)
        if go == (1, 15):
            assert {package, f"k8s.io/kubernetes/vendor/{package}"} <= set(patterns)
        else:
            assert not patterns
    assert overlay.arguments({}, root, (1, 15), folder) == []


def test_another_replacement_is_another_key_in_gos_cache() -> None:
    keys = {
        tuple(overlay.arguments({"/t/plugin/a.go": text}, Path("/t"), (1, 15), Path("/o")))
        for text in ("one", "two")
    }
    assert len(keys) == 2
