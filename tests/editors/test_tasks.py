"""The files that `doit ide` writes into a checkout, and what `doit clean ide` removes."""

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tasks.components import registry
from tasks.editors import naming
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system import files
from tests.support import doit as support
from tests.support.doit import Done
from tests.support.launches import (
    CLOUD,
    NAMES,
    NAMING,
    PORTS,
    TOOL_FILES,
    clean,
    contents,
    launch,
    state,
    status,
    with_checkout,
    write,
)


def delve(path: str, rules: list[tuple[str, str]]) -> str:
    """Map a path as Delve does (SubstitutePath in pkg/locspec): the first matching rule."""
    for start, replacement in rules:
        if path == start or path.startswith((f"{start}/", f"{start}\\")):
            rest = path[len(start) :]
            return replacement + (rest.replace("\\", "/") if replacement[0] == "/" else rest)
    return path


def mapped(tree: Path, path: str) -> str:
    """Return the binary's path of a path in the editor, and check that Delve can map it back."""
    written = launch(tree)["configurations"][0].get("substitutePath", [])
    rules = [(rule["from"], rule["to"]) for rule in written]
    in_binary = delve(path, rules)
    back = [(to, start) for start, to in rules]
    assert delve(in_binary, back).replace("\\", "/") == path.replace("\\", "/")
    return in_binary


def test_a_fresh_launch_json_is_plain_json_with_every_component(
    chosen: Settings, tree: Path
) -> None:
    assert not write(chosen)
    value = json.loads((tree / naming.LAUNCH).read_text())
    assert [*PORTS, CLOUD] == list(registry.debug_offsets())
    assert value["version"] == "0.2.0"
    assert value["configurations"] == [
        {
            "name": f"stepkube: debug {name}",
            "type": "go",
            "debugAdapter": "dlv-dap",
            "request": "attach",
            "mode": "remote",
            "host": "127.0.0.1",
            "port": port,
            "stopOnEntry": False,
            "preLaunchTask": f"stepkube: doit debug:{name}",
        }
        for name, port in PORTS.items()
    ]
    compound = {"name": "stepkube: debug all", "configurations": NAMES, "stopAll": False}
    assert value["compounds"] == [compound | {"preLaunchTask": "stepkube: doit debug"}]


def test_goland_gets_one_file_per_component_and_a_compound(chosen: Settings, tree: Path) -> None:
    assert not write(chosen)
    for name, port in PORTS.items():
        file = tree / f".run/stepkube {name}.run.xml"
        (configuration,) = ET.parse(file).getroot()
        assert configuration.get("type") == "GoRemoteDebugConfigurationType"
        assert configuration.get("name") == f"stepkube {name}"
        assert configuration.get("port") == str(port)
        assert configuration.get("host") is None, "localhost is GoLand's default"
        option = configuration.find("option[@name='disconnectOption']")
        assert option is not None and option.get("value") == "LEAVE"
    (compound,) = ET.parse(tree / ".run/stepkube all.run.xml").getroot()
    assert compound.get("type") == "CompoundRunConfigurationType"
    assert [part.get("name") for part in compound.iter("toRun")] == [
        f"stepkube {name}" for name in PORTS
    ]


def test_the_lua_snippet_names_every_component_and_port(chosen: Settings, tree: Path) -> None:
    assert not write(chosen, local='/odd "path"/k8s')
    text = (tree / NAMING.snippet).read_text()
    assert re.findall(r'\{ "([a-z-]+)", (\d+), "[^"]+" \}', text) == [
        (name, str(port)) for name, port in PORTS.items()
    ]
    assert f'{{ from = "/odd \\"path\\"/k8s", to = "{tree}" }}' in text
    interpreter = shutil.which("luac") or shutil.which("luac5.1") or shutil.which("luac5.4")
    if interpreter:
        subprocess.run([interpreter, "-p", tree / NAMING.snippet], check=True)


def test_cloud_controller_manager_is_debugged_where_it_runs(tmp_path: Path, tree: Path) -> None:
    chosen = with_checkout(tmp_path, tree, EXTERNAL_CLOUD_PROVIDER="true")
    assert not write(chosen)
    value = json.loads((tree / naming.LAUNCH).read_text())
    ports = {entry["name"]: entry["port"] for entry in value["configurations"]}
    assert ports[f"stepkube: debug {CLOUD}"] == 40001
    assert f"stepkube: debug {CLOUD}" in value["compounds"][0]["configurations"]
    assert (tree / NAMING.goland[CLOUD]).is_file()


def test_equal_paths_are_not_mapped(chosen: Settings, tree: Path) -> None:
    assert not write(chosen, local=f"{tree}/")
    assert all("substitutePath" not in entry for entry in launch(tree)["configurations"])


@pytest.mark.parametrize("local", ["/Users/me/k8s", "C:\\Users\\me\\k8s"])
def test_another_path_is_mapped_to_the_tree(chosen: Settings, tree: Path, local: str) -> None:
    assert not write(chosen, local=local)
    separator = local[2] if ":" in local else "/"
    path = separator.join((local, "cmd", "kubelet", "kubelet.go"))
    assert mapped(tree, path) == f"{tree}/cmd/kubelet/kubelet.go"


def test_a_link_to_a_tree_is_mapped_to_the_compilers_path(tmp_path: Path, tree: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tree)
    assert not write(with_checkout(tmp_path, link))
    assert mapped(tree, f"{link}/pkg/x.go") == f"{tree}/pkg/x.go"


@pytest.mark.parametrize("local", ["", "/Users/me/k8s", "D:\\k8s"])
def test_staging_modules_are_mapped_for_the_editor(
    chosen: Settings, tree: Path, local: str
) -> None:
    (tree / "staging/src/k8s.io/api").mkdir(parents=True)
    (tree / "vendor/k8s.io/klog").mkdir(parents=True)
    (tree / "vendor/k8s.io/api").symlink_to("../../staging/src/k8s.io/api")
    assert not write(chosen, local=local)
    root = local or str(tree)
    for in_binary, in_editor in {
        "vendor/k8s.io/api/core/v1/types.go": "staging/src/k8s.io/api/core/v1/types.go",
        "vendor/k8s.io/klog/v2/klog.go": "vendor/k8s.io/klog/v2/klog.go",
        "vendor/k8s.io/klogging.go": "staging/src/k8s.io/klogging.go",
        "pkg/kubelet/kubelet.go": "pkg/kubelet/kubelet.go",
    }.items():
        path = f"{root}/{in_editor}"
        path = path.replace("/", "\\") if "\\" in root else path
        assert mapped(tree, path) == f"{tree}/{in_binary}"


def test_binaries_of_a_bundle_are_mapped_to_their_build_path(chosen: Settings, tree: Path) -> None:
    checkout = {"version": "v1.28.3", "commit": "0" * 40, "requested": "auto", "tree": str(tree)}
    bundled = {"file": "k.tar.gz", "size": 1, "changed": 1, "tools": {}}
    record = {**bundled, "checkout": {**checkout, "root": "/built/there"}}
    files.write_json(chosen.paths.bundle, record)
    assert not write(chosen)
    for entry in launch(tree)["configurations"]:
        assert {"from": str(tree), "to": "/built/there"} in entry["substitutePath"]


@pytest.mark.parametrize(
    ("editor", "names"),
    [
        ("vscode", {naming.LAUNCH, naming.TASKS}),
        ("goland", {name for name in TOOL_FILES if name != NAMING.snippet}),
        ("nvim", {NAMING.snippet}),
    ],
)
def test_one_editor_alone(chosen: Settings, tree: Path, editor: str, names: set[str]) -> None:
    before = contents(tree)
    assert not write(chosen, editor=editor)
    assert {name for name in (*naming.LISTS, *NAMING.tool_files) if (tree / name).exists()} == names
    assert status(tree) == ""
    assert not write(chosen)
    assert not write(chosen, editor=editor)
    assert status(tree) == "", "the files of the other editors stay, and stay ignored"
    assert not clean(chosen)
    assert contents(tree) == before


def test_for_another_machine_connection_and_paths_are_printed(
    chosen: Settings, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not write(chosen)
    assert capsys.readouterr().out == "", "nothing to print for one machine"
    assert not write(chosen, local="/Users/me/k8s")
    output = capsys.readouterr().out
    (line,) = (line for line in output.splitlines() if "ssh -NL" in line)
    ports = re.findall(r"L (\d+):127\.0\.0\.1:\1 ", line)
    assert ports == [str(port) for port in PORTS.values()]
    assert "connect to 127.0.0.1" in output
    assert re.search(rf"/Users/me/k8s .* {re.escape(str(tree))} ", output)


def test_another_host_is_written_for_every_editor(
    chosen: Settings, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not write(chosen, host="devbox.example.org")
    output = capsys.readouterr().out
    assert "devbox.example.org, ports 39999, 39997" in output
    assert re.search(r"ssh -NL .*(@| )devbox\.example\.org$", output, re.MULTILINE)
    assert {entry["host"] for entry in launch(tree)["configurations"]} == {"devbox.example.org"}
    (configuration,) = ET.parse(tree / NAMING.goland["kubelet"]).getroot()
    assert configuration.get("host") == "devbox.example.org"
    assert 'host = "devbox.example.org"' in (tree / NAMING.snippet).read_text()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"local": "src/k8s"}, "--local-path: src/k8s "),
        ({"local": "~/k8s"}, "--local-path: ~/k8s "),
        ({"local": "C:k8s"}, "--local-path: C:k8s "),
        ({"editor": "emacs"}, "--editor: emacs "),
        ({"host": "devbox:39999"}, "--remote-host: 'devbox:39999' "),
        ({"host": 'a" b="'}, "--remote-host"),
        ({"host": "-oProxyCommand=x"}, "--remote-host"),
    ],
)
def test_a_wrong_option_is_refused_and_nothing_is_written(
    chosen: Settings, tree: Path, options: dict[str, str], expected: str
) -> None:
    before = state(tree)
    failed = write(chosen, **options)
    assert failed.startswith(expected) and "fix: " in failed
    assert state(tree) == before


def test_without_a_checkout_ide_fails_and_clean_does_not(tmp_path: Path) -> None:
    empty = load.load({"STEPKUBE_HOME": str(tmp_path / "home")})
    assert write(empty).endswith("fix: run: doit checkout")
    assert not clean(empty)


DODO = """
from tasks.bundle import tasks as bundle
from tasks.check import mirrors, tasks as check
from tasks.checkout import tasks as checkout
from tasks.cli import command_line, reporter, task_names
from tasks.editors import tasks as editors
DOIT_CONFIG = {"reporter": reporter.Reporter, "dep_file": %r, "verbosity": 2}
def task_pipeline():
    yield from task_names.tasks(command_line.load_settings(), {"all": (
        check.task_check, mirrors.task_downloads, bundle.task_unbundle,
        checkout.task_checkout, editors.task_ide,
    )})
"""


def doit(tmp_path: Path, tree: Path, *words: str) -> Done:
    dodo = tmp_path / "dodo.py"
    dodo.write_text(DODO % str(tmp_path / "doit.db"))
    command = (words[0], "-f", str(dodo), *words[1:])
    return support.doit(tmp_path / "home", *command, STEPKUBE_ORIGIN_PATH=str(tree))


def test_the_task_checks_out_writes_and_cleans(tmp_path: Path, tree: Path) -> None:
    before = contents(tree)
    first = doit(tmp_path, tree, "run", "ide", "--editor", "goland", "--local-path", "/there")
    assert first.returncode == 0, first.stderr
    assert f"7 files written in {tree}" in first.stdout
    again = doit(tmp_path, tree, "run", "ide", "--editor", "goland", "--local-path", "/there")
    assert "nothing to change" in again.stdout
    cleaned = doit(tmp_path, tree, "clean", "ide")
    assert (cleaned.returncode, cleaned.stderr) == (0, "")
    assert contents(tree) == before


def test_cleaning_everything_does_not_need_the_lock(tmp_path: Path, tree: Path) -> None:
    before = contents(tree)
    assert doit(tmp_path, tree, "run", "ide").returncode == 0
    assert doit(tmp_path, tree, "clean", "checkout").returncode == 0
    cleaned = doit(tmp_path, tree, "clean", "ide")
    assert (cleaned.returncode, cleaned.stderr) == (0, "")
    assert contents(tree) == before


def test_an_unknown_editor_is_refused_without_a_traceback(tmp_path: Path, tree: Path) -> None:
    done = doit(tmp_path, tree, "run", "ide", "--editor", "emacs")
    assert done.returncode == 3
    assert "'emacs'" in done.stderr and "'goland'" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_the_options(tmp_path: Path, tree: Path) -> None:
    output = doit(tmp_path, tree, "help", "ide").stdout
    assert "--remote-host" in output and "--local-path" in output and "nvim" in output
