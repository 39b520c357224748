"""The files that `doit ide` writes into a checkout, and what `doit clean ide` removes."""

import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tasks.components import registry
from tasks.editors import configurations, jsonc_parser, tree_files
from tasks.editors import tasks as editors
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system import files
from tests.support import doit as support
from tests.support import miniature
from tests.support.doit import Done

PORTS = {
    "kube-apiserver": 39999,
    "kube-controller-manager": 39997,
    "kube-scheduler": 39995,
    "kubelet": 39993,
    "kube-proxy": 39991,
}
NAMES = [f"stepkube: debug {name}" for name in PORTS]
CLOUD = "cloud-controller-manager"  # written only where it runs
TOOL_FILES = [name for name in configurations.TOOL_FILES if CLOUD not in name]

COMMENTED = """\
// mine, all mine
{
  /* VS Code's */ "version": "0.2.0",
  "configurations": [
    // the one I like
    { "name": "Launch", "type": "go", "url": "http://x//y", "env": { "A": "/* no */" }, },  // why
    {
      "name" : "other",   // odd blanks
      "type":"node"
    }   // the last one
  ],
  "inputs": [],
}
"""
WRITTEN_BY_USERS = {
    "comments and trailing commas": COMMENTED,
    "a comma after the last": '{\n\t"configurations": [\n\t\t{"name": "a"},\n\t],\n}\n',
    "lines end in CRLF": '{\r\n  "configurations": [\r\n    {"name": "a"}\r\n  ]\r\n}\r\n',
    "a byte order mark": '\ufeff{"configurations": [{"name": "a"}], "compounds": []}',
    "one line": '{"version":"0.2.0","configurations":[{"name":"a"}]}',
    "empty lists": '{\n    "configurations": [],\n    "compounds": [ ]\n}',
    "a list with a comment in it": '{\n  "configurations": [\n    // none yet  \n  ]\n}\n',
    "an empty object": "{}\n",
    "an empty file": "",
    "blanks": " \n\n",
    "other order": '{"compounds": [{"name": "b", "configurations": ["a"]}], "version": "0.2.0"}',
    "names of all kinds": '{"configurations": [1, {"name": 2}, {}, {"name": "stepkubes"}]}',
}
DAMAGED = {
    "no comma": ('{\n  "version": "0.2.0"\n  "configurations": []\n}', 3, "comma"),
    "no end": ('{\n  "configurations": [\n', 3, "missing"),
    "no value": ('{\n  "configurations":\n}', 3, "value"),
    "no colon": ('{\n\n  "version" "0.2.0" }', 3, "colon"),
    "open comment": ('{ /* here\n  "configurations": [] }', 1, "missing"),
    "half a string": ('{\n"version": "0.2\n}', 2, "value"),
    "half an escape": ('{\n"version": "\\u00"}', 2, "not a value"),
    "two objects": ("{}\n{}", 2, "more text"),
    "a list": ("[]", 1, "object"),
    "another kind of value": ('{\n\n"configurations": {}}', 3, "not a list"),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return miniature.make(tmp_path / "tree", tags=("v1.28.3",))


@pytest.fixture
def chosen(tmp_path: Path, tree: Path) -> Settings:
    return with_checkout(tmp_path, tree)


def with_checkout(tmp_path: Path, tree: Path, **environ: str) -> Settings:
    """Return settings of an instance whose checkout is the tree."""
    settings = load.load({"STEPKUBE_HOME": str(tmp_path / "home"), **environ})
    record = {"version": "v1.28.3", "commit": "0" * 40, "origin": "a test", "requested": "auto"}
    files.write_json(settings.paths.lock, {**record, "tree": str(tree)})
    return settings


def write(chosen: Settings, host: str = "127.0.0.1", local: str = "", editor: str = "all") -> str:
    """Run the task and return the message of its failure, empty without one."""
    failed = editors.write(chosen, host, local, editor)
    return failed.message if failed else ""


def clean(chosen: Settings) -> str:
    failed = editors.clean(chosen)
    return failed.message if failed else ""


def state(tree: Path) -> dict[str, tuple[bytes, int]]:
    """Return content and mtime of all files and folders in a tree, except git's."""
    kept = [tree / ".git/info", *(place for place in tree.iterdir() if place.name != ".git")]
    places = [place for top in kept for place in (top, *top.rglob("*"))]
    return {
        str(place): (place.read_bytes() if place.is_file() else b"", place.stat().st_mtime_ns)
        for place in places
    }


def contents(tree: Path) -> dict[str, bytes]:
    return {name: content for name, (content, _) in state(tree).items()}


def status(tree: Path) -> str:
    return miniature.git(tree, "status", "--porcelain", "--untracked-files=all")


def launch(tree: Path) -> Any:
    return jsonc_parser.parse((tree / configurations.LAUNCH).read_bytes().decode()).value


def user_writes(tree: Path, text: str) -> Path:
    path = tree / configurations.LAUNCH
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode())
    return path


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
    value = json.loads((tree / configurations.LAUNCH).read_text())
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
        }
        for name, port in PORTS.items()
    ]
    compound = {"name": "stepkube: debug all", "configurations": NAMES, "stopAll": False}
    assert value["compounds"] == [compound]


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
    text = (tree / configurations.SNIPPET).read_text()
    assert re.findall(r'\{ "([a-z-]+)", (\d+) \}', text) == [
        (name, str(port)) for name, port in PORTS.items()
    ]
    assert f'{{ from = "/odd \\"path\\"/k8s", to = "{tree}" }}' in text
    interpreter = shutil.which("luac") or shutil.which("luac5.1") or shutil.which("luac5.4")
    if interpreter:
        subprocess.run([interpreter, "-p", tree / configurations.SNIPPET], check=True)


def test_the_checkout_stays_clean_for_git(chosen: Settings, tree: Path) -> None:
    assert not write(chosen)
    assert status(tree) == ""
    assert not clean(chosen)
    assert status(tree) == ""


def test_a_second_run_changes_no_content_and_no_mtime(chosen: Settings, tree: Path) -> None:
    user_writes(tree, COMMENTED)
    assert not write(chosen, local="/elsewhere/k8s")
    first = state(tree)
    assert not write(chosen, local="/elsewhere/k8s")
    assert state(tree) == first


def test_clean_removes_all_that_was_added(chosen: Settings, tree: Path) -> None:
    before = contents(tree)
    assert not write(chosen)
    assert contents(tree) != before
    assert not clean(chosen)
    assert contents(tree) == before
    assert not clean(chosen), "twice is harmless"
    assert contents(tree) == before
    assert not (chosen.paths.instance / tree_files.JOURNAL).exists()


def test_clean_keeps_folders_and_files_of_the_user(chosen: Settings, tree: Path) -> None:
    (tree / ".vscode").mkdir()
    (tree / ".run").mkdir()
    (tree / ".run/mine.run.xml").write_text("<component/>\n")
    before = contents(tree)
    assert not write(chosen)
    (tree / ".nvim").mkdir()
    assert not clean(chosen)
    (tree / ".nvim").rmdir()
    assert contents(tree) == before


@pytest.mark.parametrize("text", WRITTEN_BY_USERS.values(), ids=WRITTEN_BY_USERS)
def test_clean_restores_the_bytes_of_launch_json(chosen: Settings, tree: Path, text: str) -> None:
    path = user_writes(tree, text)
    before = contents(tree)
    users = launch(tree) if text.strip() else {}
    assert not write(chosen)
    value = launch(tree)
    entries = users.get("configurations", [])
    assert value["configurations"][: len(entries)] == entries
    assert [entry["name"] for entry in value["configurations"][len(entries) :]] == NAMES
    assert value["compounds"][:-1] == users.get("compounds", [])
    assert value["compounds"][-1]["name"] == "stepkube: debug all"
    endings = re.findall(rb"\r?\n", path.read_bytes())
    assert len(set(endings)) == 1, "all lines have the same ending"
    assert not clean(chosen)
    assert contents(tree) == before


@pytest.mark.parametrize("text", WRITTEN_BY_USERS.values(), ids=WRITTEN_BY_USERS)
def test_the_users_text_is_not_moved_or_rewritten(chosen: Settings, tree: Path, text: str) -> None:
    path = user_writes(tree, text)
    assert not write(chosen)
    characters = iter(path.read_bytes().decode())
    kept = text.replace("[ ]", "[]") if text.strip() else ""
    assert all(character in characters for character in kept)


def test_a_comment_stays_with_the_entry_it_follows(chosen: Settings, tree: Path) -> None:
    path = user_writes(tree, COMMENTED)
    assert not write(chosen)
    text = path.read_text()
    assert '"type":"node"\n    },   // the last one\n    {\n' in text
    assert text.startswith(COMMENTED[: COMMENTED.index("}   // the last one")])


@pytest.mark.parametrize("text", WRITTEN_BY_USERS.values(), ids=WRITTEN_BY_USERS)
def test_later_edits_of_the_user_stay(chosen: Settings, tree: Path, text: str) -> None:
    path = user_writes(tree, text)
    assert not write(chosen)
    edited = path.read_bytes().decode() + "\n// an afterthought"
    path.write_bytes(edited.encode())
    assert not write(chosen, local="/elsewhere")
    assert launch(tree)["configurations"][-1]["substitutePath"][0]["from"] == "/elsewhere"
    assert path.read_bytes().decode().endswith("\n// an afterthought")
    assert not clean(chosen)
    left = path.read_bytes().decode()
    assert left.endswith("\n// an afterthought")
    if text.strip():
        collapsed = text.replace("[ ]", "[]")
        assert left.removesuffix("\n// an afterthought") == collapsed
    assert "stepkube:" not in left


def test_an_entry_that_the_user_adds_to_our_file_is_kept(chosen: Settings, tree: Path) -> None:
    assert not write(chosen)
    path = tree / configurations.LAUNCH
    mine = '{ "name": "mine" }'
    path.write_text(path.read_text().replace('"configurations": [', f'"configurations": [{mine},'))
    assert not write(chosen)
    assert [entry["name"] for entry in launch(tree)["configurations"]] == ["mine", *NAMES]
    assert not clean(chosen)
    assert launch(tree) == {"version": "0.2.0", "configurations": [{"name": "mine"}]}
    assert [place.name for place in (tree / ".vscode").iterdir()] == ["launch.json"]


def test_our_file_is_removed_after_the_user_removed_their_entry(
    chosen: Settings, tree: Path
) -> None:
    before = contents(tree)
    assert not write(chosen)
    path = tree / configurations.LAUNCH
    ours = path.read_text()
    path.write_text(ours.replace('"configurations": [', '"configurations": [{"name": "mine"},'))
    assert not write(chosen)
    path.write_text(path.read_text().replace('{"name": "mine"},', ""))
    assert not clean(chosen)
    assert contents(tree) == before


def test_our_entries_are_replaced_and_removed_by_name(tmp_path: Path, tree: Path) -> None:
    old = ["stepkube: debug cloud", "a", "stepkube: debug kubelet", "stepkube: debug kubelet"]
    entries = [{"name": name, "port": 1} for name in old]
    user_writes(tree, json.dumps({"configurations": entries}))
    assert not write(with_checkout(tmp_path, tree, STEPKUBE_DEBUG_BASE_PORT="2340"))
    value = launch(tree)["configurations"]
    assert [entry["name"] for entry in value] == ["a", *NAMES]
    assert [entry["port"] for entry in value[1:]] == [2349, 2347, 2345, 2343, 2341]


def test_without_a_journal_clean_still_removes_our_entries(chosen: Settings, tree: Path) -> None:
    text = '{\n  "configurations": [\n    {"name": "a"} // b\n  ],\n  "compounds": []\n}\n'
    path = user_writes(tree, text)
    before = contents(tree)
    assert not write(chosen)
    (chosen.paths.instance / tree_files.JOURNAL).unlink()
    assert not clean(chosen)
    assert path.read_text() == text
    assert {*contents(tree)} - {*before} <= {str(tree / ".run")}


@pytest.mark.parametrize(("text", "line", "word"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_launch_json_fails_with_its_line(
    chosen: Settings, tree: Path, text: str, line: int, word: str
) -> None:
    path = user_writes(tree, text)
    before = state(tree)
    failed = write(chosen)
    assert failed.startswith(f"{path}:{line}: ")
    assert word in failed and "fix: " in failed
    assert state(tree) == before
    assert clean(chosen).startswith(f"{path}:{line}: ")
    assert state(tree) == before


def test_a_launch_json_that_is_not_text_is_damaged(chosen: Settings, tree: Path) -> None:
    path = user_writes(tree, "")
    path.write_bytes(b'{\n"version": "\xff"}')
    assert write(chosen).startswith(f"{path}:2: ")


def test_a_linked_launch_json_stays_a_link_and_keeps_its_mode(
    chosen: Settings, tree: Path, tmp_path: Path
) -> None:
    dotfile = tmp_path / "launch.json"
    dotfile.write_text("{}\n")
    dotfile.chmod(0o600)
    (tree / ".vscode").mkdir()
    (tree / configurations.LAUNCH).symlink_to(dotfile)
    assert not write(chosen)
    assert (tree / configurations.LAUNCH).is_symlink()
    assert "stepkube: debug kubelet" in dotfile.read_text()
    assert dotfile.stat().st_mode & 0o777 == 0o600
    assert not clean(chosen)
    assert dotfile.read_text() == "{}\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write another user's tree")
def test_files_made_by_root_belong_to_the_trees_owner(chosen: Settings, tree: Path) -> None:
    path = user_writes(tree, "{}")
    os.chown(path, 1234, 1235)
    os.chown(tree, 4321, 4322)
    assert not write(chosen)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)
    for name in (".run", *TOOL_FILES):
        owner = (tree / name).stat()
        assert (owner.st_uid, owner.st_gid) == (4321, 4322)


def test_cloud_controller_manager_is_debugged_where_it_runs(tmp_path: Path, tree: Path) -> None:
    chosen = with_checkout(tmp_path, tree, EXTERNAL_CLOUD_PROVIDER="true")
    assert not write(chosen)
    value = json.loads((tree / configurations.LAUNCH).read_text())
    ports = {entry["name"]: entry["port"] for entry in value["configurations"]}
    assert ports[f"stepkube: debug {CLOUD}"] == 40001
    assert f"stepkube: debug {CLOUD}" in value["compounds"][0]["configurations"]
    assert (tree / configurations.GOLAND[CLOUD]).is_file()


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
    record = {"file": "k.tar.gz", "checkout": {**checkout, "root": "/built/there"}, "tools": {}}
    files.write_json(chosen.paths.bundle, record)
    assert not write(chosen)
    for entry in launch(tree)["configurations"]:
        assert {"from": str(tree), "to": "/built/there"} in entry["substitutePath"]


def test_worktrees_share_gits_exclude_file_with_one_block_each(tmp_path: Path, tree: Path) -> None:
    other = tmp_path / "other"
    miniature.git(tree, "worktree", "add", "--quiet", "--detach", str(other))
    exclude = tree / ".git/info/exclude"
    before = exclude.read_bytes()
    first = with_checkout(tmp_path, tree)
    second = with_checkout(tmp_path, other, STEPKUBE_INSTANCE="two")
    assert not write(first)
    assert not write(second)
    assert (status(tree), status(other)) == ("", "")
    assert not clean(first)
    assert status(other) == ""
    assert not (other / ".git").is_dir() and (other / configurations.LAUNCH).is_file()
    assert not clean(second)
    assert exclude.read_bytes() == before


@pytest.mark.parametrize("text", [None, b"", b"*.swp", b"# caf\xe9\r\n*.swp\r\n"])
def test_clean_restores_the_bytes_of_gits_exclude_file(
    chosen: Settings, tree: Path, text: bytes | None
) -> None:
    exclude = tree / ".git/info/exclude"
    exclude.unlink()
    if text is None:
        exclude.parent.rmdir()
    else:
        exclude.write_bytes(text)
    assert not write(chosen)
    assert status(tree) == ""
    assert not clean(chosen)
    if text is None:
        assert not exclude.parent.exists()
    else:
        assert exclude.read_bytes() == text


def test_a_tracked_file_is_not_excluded_and_a_warning_names_it(
    chosen: Settings, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    user_writes(tree, "{}\n")
    miniature.commit(tree, "second")
    assert not write(chosen)
    assert status(tree) == "M .vscode/launch.json"
    warning = capsys.readouterr().err
    assert "git" in warning and str(tree / configurations.LAUNCH) in warning
    assert configurations.LAUNCH not in (tree / ".git/info/exclude").read_text()
    assert not clean(chosen)
    assert status(tree) == ""


def test_a_tree_in_a_larger_repository_stays_clean(tmp_path: Path) -> None:
    tree = miniature.make(tmp_path / "mono/src/k8s")
    shutil.rmtree(tree / ".git")
    miniature.git(tmp_path / "mono", "init", "--quiet")
    miniature.commit(tmp_path / "mono", "first")
    assert not write(with_checkout(tmp_path, tree))
    assert status(tmp_path / "mono") == ""


@pytest.mark.parametrize(
    ("editor", "names"),
    [
        ("vscode", {configurations.LAUNCH}),
        ("goland", {name for name in TOOL_FILES if name != configurations.SNIPPET}),
        ("nvim", {configurations.SNIPPET}),
    ],
)
def test_one_editor_alone(chosen: Settings, tree: Path, editor: str, names: set[str]) -> None:
    before = contents(tree)
    assert not write(chosen, editor=editor)
    assert {
        name
        for name in (configurations.LAUNCH, *configurations.TOOL_FILES)
        if (tree / name).exists()
    } == names
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
    (configuration,) = ET.parse(tree / configurations.GOLAND["kubelet"]).getroot()
    assert configuration.get("host") == "devbox.example.org"
    assert 'host = "devbox.example.org"' in (tree / configurations.SNIPPET).read_text()


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
