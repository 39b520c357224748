import json
import re
import shutil
import subprocess
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import nodes

from tasks.core import derived
from tasks.settings import templates
from tasks.settings.load import ROOT

TEMPLATES = sorted(str(path.relative_to(ROOT / "templates")) for path in ROOT.rglob("*.j2"))
LANGUAGES = {
    ".conflist": {"tojson"},
    ".lua": {"lua"},
    ".sh": {"shell"},
    ".toml": {"toml", "word"},
    ".xml": {"xml"},
    ".yaml": {"yaml", "word"},
}
HOSTILE = [
    "plain",
    "",
    "a blank",
    "it's",
    'a "quote"',
    "$(touch TARGET) `touch TARGET` ${HOME} $HOME",
    "'$(touch TARGET)'; touch TARGET #",
    "two\nlines\r\n\ttab",
    "]]> <!-- & &amp; </component>",
    "{{ 7 * 7 }} {% raw %}",
    "\\ \\n \\' \\\" \\u0041 \\ud83d\\ude00",
    "key: value # no comment",
    "- item",
    "null",
    "true",
    "!!python/object:os.system",
    "ä ß 漢字 \U0001f600 \x85 \u2028 \x7f",
    "]==] .. os.exit() .. [==[",
]


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_value_passes_a_filter_of_its_language(name: str) -> None:
    filters = LANGUAGES[Path(name).with_suffix("").suffix]
    source = (ROOT / "templates" / name).read_text()
    parsed = templates.environment().parse(source)
    values = [
        node
        for output in parsed.find_all(nodes.Output)
        for node in output.nodes
        if not isinstance(node, nodes.TemplateData)
    ]
    assert values
    unfiltered = [
        node.lineno
        for node in values
        if not (isinstance(node, nodes.Filter) and node.name in filters)
    ]
    assert unfiltered == []
    assert not list(parsed.find_all(nodes.MarkSafe)), "no `safe`"
    assert not re.search(r"\|\s*safe\b|autoescape", source)


def strings(value: object) -> list[str]:
    """Return all texts in a parsed document."""
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


class Anything(dict[str, Any]):
    """Has the same hostile text for every name, and valid words where a template needs them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def __getattr__(self, name: str) -> Any:
        return "cgroupfs" if name == "cgroup_driver" else self.text


def everything(text: str) -> dict[str, Any]:
    """Return values for all templates; a name of the tool's own stays as it is."""
    names = "crt key client_ca cluster_domain cluster_dns resolv_conf manifests cgroup_root address"
    names += (
        " request_timeout leases ranges routes kubeconfig hostname mode cluster_cidr root state"
    )
    names += " socket pause hosts plugins networks runc server authority title host prefix rpm epel"
    names += " folder before script adapter instance"
    return {
        **dict.fromkeys(names.split(), text),
        "api_version": "v1",
        "kubelet": Anything(text),
        "proxy": Anything(text),
        "config": 2,
        "port": 1234,
        "parts": [text, "two"],
        "ports": {text: 5},
        "entries": {text: text},
        "commands": {text: [text]},
        "rules": ((text, text),),
        "user": {"token": text},
        "optional": {"tracing": {text: text}},
        "eviction_hard": {text: text},
        "eviction_soft": {text: text},
        "eviction_soft_grace_period": {},
        "feature_gates": {text: True},
    }


def xml_texts(text: str) -> list[str]:
    return [value for node in ET.fromstring(text).iter() for value in node.attrib.values()]


PARSERS: dict[str, Callable[[str], list[str]]] = {
    ".conflist": lambda text: strings(json.loads(text)),
    ".toml": lambda text: strings(tomllib.loads(text)),
    ".xml": xml_texts,
    ".yaml": lambda text: strings(yaml.safe_load(text)),
}


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "name", [name for name in TEMPLATES if Path(name).with_suffix("").suffix in PARSERS]
)
def test_a_hostile_value_is_read_back_unchanged(name: str, text: str) -> None:
    kind = Path(name).with_suffix("").suffix
    if kind == ".xml":
        text = re.sub("[\x7f-\x9f]", "", text)
    if name == "kube-proxy.yaml.j2":
        rendered = templates.render(name, **{**everything(text), "proxy": Ports()})
    else:
        rendered = templates.render(name, **everything(text))
    found = PARSERS[kind](rendered)
    assert {text, f"{text}/"}.intersection(found) or (not text and name.startswith("host/"))


class Ports:
    """kube-proxy's ports, which are numbers."""

    healthz_port = 1
    metrics_port = 2


def test_a_text_is_kept_unless_a_value_is_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derived, "_SETTLED", 0)
    kept = derived.Cache(tmp_path / "cache")
    monkeypatch.setattr(derived, "_cache", kept)
    values = {"server": "https://a", "authority": "/ca"}
    name = "kubeconfig.yaml.j2"
    text = templates.render(name, **values, user={"client-key": "/key"})
    secret = templates.render(name, True, **values, user={"token": "t0ken"})
    assert "t0ken" in secret and "/key" in text
    kept.save()
    assert b"/key" in (tmp_path / "cache").read_bytes()
    assert b"t0ken" not in (tmp_path / "cache").read_bytes()
    monkeypatch.setattr(templates, "environment", lambda: 1 // 0)
    assert templates.render(name, **values, user={"client-key": "/key"}) == text
    with pytest.raises(ZeroDivisionError):
        templates.render(name, **values, user={"client-key": "/other"})


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(("api_is_address", "v2"), [(True, True), (False, False)])
def test_the_sandbox_gets_every_value_and_runs_no_part_of_it(
    text: str, tmp_path: Path, *, api_is_address: bool, v2: bool
) -> None:
    target = tmp_path / "ran"
    names = ("home", "ready", "pod_logs", "address", "gateway", "api", "hostname", "cgroup")
    text = text.replace("TARGET", str(target))
    values = {name: f"/{name}{text}" for name in names}
    script = templates.render("sandbox.sh.j2", **values, api_is_address=api_is_address)
    script = script.replace("[ -e /sys/fs/cgroup/cgroup.controllers ]", "true" if v2 else "false")
    words, errors = run_without_effects(script, tmp_path)
    ready, cgroup = values.pop("ready"), values.pop("cgroup")
    values["address"] += "/24"
    assert {name for name, value in values.items() if value not in words} == set()
    assert any(word.endswith(f"/{cgroup}") for word in words)
    if text.isprintable():  # bash escapes other characters in its messages
        assert f"{ready}: restricted" in errors
    assert not target.exists()


def run_without_effects(script: str, folder: Path) -> tuple[list[str], str]:
    """Run a script whose commands only print their arguments; return these, and the errors.

    A restricted bash writes no file. The only program in its PATH is touch.
    """
    (folder / "bin").mkdir()
    (folder / "bin/touch").symlink_to("/usr/bin/touch")
    names = "cat echo hostname ip mkdir mount mountpoint sleep tr trap umount"
    stubs = "".join(f"{name}() {{ printf '%s\\0' \"$@\"; }}\n" for name in names.split())
    body = script.replace("set -eu", "").replace("> /run/hosts", "")
    body = body.replace("$(cat /sys/fs/cgroup/cgroup.controllers)", "memory")
    done = subprocess.run(
        ["/bin/bash", "-r", "-c", f"{stubs}wait() {{ exit; }}\n{body}"],
        capture_output=True,
        check=True,
        env={"PATH": str(folder / "bin"), "HOME": "/", "LC_ALL": "C.UTF-8"},
    )
    return done.stdout.decode().split("\0"), done.stderr.decode()


def read_lua(text: str) -> list[str]:
    """Return the strings of a Lua source, as the Lua manual (3.1) reads them."""
    found = re.findall(r'"((?:[^"\\\n]|\\.)*)"', text, re.DOTALL)

    def plain(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code)) if code.isdigit() else {"n": "\n"}.get(code, code)

    return [re.sub(r"\\(\d{3}|.)", plain, item, flags=re.DOTALL) for item in found]


@pytest.mark.parametrize("text", HOSTILE)
def test_neovim_gets_every_value(text: str, tmp_path: Path) -> None:
    rendered = templates.render("nvim-dap.lua.j2", **everything(text))
    found = read_lua(rendered)
    assert found.count(text) >= 4  # both paths of the rule, the component, the host
    assert found.count(text) >= 9  # the entry, the task, its argv, the adapter, the prefix too
    interpreter = shutil.which("luac") or shutil.which("luac5.1") or shutil.which("luac5.4")
    if interpreter:
        subprocess.run([interpreter, "-p", "-"], input=rendered, text=True, check=True)


@pytest.mark.parametrize("text", ["", "a b", "$(x)", "x\n", "-x", 'x"'])
def test_only_a_name_stands_without_quotes(text: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        templates.word(text)
