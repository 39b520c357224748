from pathlib import Path

import pytest

from tasks.core.errors import Failure
from tasks.explain import config
from tasks.settings import load as settings
from tasks.settings.table import table


def load(
    tmp_path: Path, text: str = "", words: dict[str, str] | None = None, /, **environ: str
) -> settings.Settings:
    file = tmp_path / "stepkube.yaml"
    file.write_text(text)
    return settings.load({"STEPKUBE_CONFIG": str(file), **environ}, words)


def test_precedence_of_command_line_environment_and_file(tmp_path: Path) -> None:
    text = "api: {secure_port: 7001}"
    assert load(tmp_path).api.secure_port == 6443
    assert load(tmp_path, text).api.secure_port == 7001
    assert load(tmp_path, text, API_SECURE_PORT="7002").api.secure_port == 7002
    chosen = load(tmp_path, text, {"api.secure_port": "7003"}, API_SECURE_PORT="7002")
    assert chosen.api.secure_port == 7003
    assert chosen.sources["api.secure_port"] == "the command line (api.secure_port=)"


@pytest.mark.parametrize(
    ("text", "environ", "words"),
    [
        ("api: {secure_prot: 1}", {}, ["api.secure_prot", "did you mean api.secure_port"]),
        ("API_SECURE_PORT: 7443", {}, ["API_SECURE_PORT", "fix: use api.secure_port"]),
        ("api: 6443", {}, ["api is a group of keys"]),
        ("- api", {}, ["stepkube.yaml: ", "mapping"]),
        ("api: [unclosed", {}, ["is not valid YAML", "line 1"]),
        ("", {"API_SECURE_PORT": "https"}, ["API_SECURE_PORT", "'https' is not a whole number"]),
        ("", {"API_SECURE_PORT": "70000"}, ["API_SECURE_PORT", "70000 is not a port"]),
        ("", {"START_MODE": "some"}, ["START_MODE", "nokubelet"]),
        ("", {"FAIL_SWAP_ON": "maybe"}, ["FAIL_SWAP_ON", "true or false"]),
        ("logs: {level: 2.5}", {}, ["logs.level", "'2.5' is not a whole number"]),
        ("instance: Über", {}, ["instance", "lower-case"]),
        ("origin: {git: {a: b}}", {}, ["origin.git", "a list"]),
        ("origin: {git: [[a]]}", {}, ["origin.git", "is not text"]),
        ("version: a\nversion: b", {}, ["duplicate key version ", "line 2"]),
        ("api:\n  wait: 1\n  wait: 2", {}, ["duplicate key api.wait ", "line 3"]),
        ("api:\n  wait: 1\napi:\n  port: 2", {}, ["duplicate key api ", "line 3"]),
        ("api.wait: 1\napi: {wait: 2}", {}, ["duplicate key api.wait\n"]),
        ("", {"START_MODE": ","}, ["START_MODE", "all, kubeletonly"]),
        ("", {"API_SECURE_PORT": "0"}, ["API_SECURE_PORT", "0 is not a port", "use 1 to 65535"]),
        ("", {"KUBELET_READ_ONLY_PORT": "-1"}, ["-1 is not a port", "or 0 for none"]),
        ("", {"STEPKUBE_NODE_SANDBX": "false"}, ["STEPKUBE_NODE_SANDBX", "STEPKUBE_NODE_SANDBOX?"]),
        ("", {"STEPKUBE_HOM": "/x"}, ["STEPKUBE_HOM)", "did you mean STEPKUBE_HOME?"]),
        ("", {"STEPKUBE_API_SECURE_PORT": "1"}, ["did you mean API_SECURE_PORT?"]),
    ],
)
def test_bad_input_names_its_place_and_the_fix(
    tmp_path: Path, text: str, environ: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(Failure) as caught:
        load(tmp_path, text, **environ)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.hint


def test_a_port_that_is_off_by_default_may_be_zero(tmp_path: Path) -> None:
    chosen = load(tmp_path, "kubelet: {read_only_port: 0}", API_PORT="0")
    assert (chosen.api.port, chosen.kubelet.read_only_port) == (0, 0)


def test_no_version_is_the_default_one(tmp_path: Path) -> None:
    assert load(tmp_path, STEPKUBE_VERSION="").version == "auto"
    assert load(tmp_path, "", {"version": " "}).version == "auto"


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    file = "api: {secure_port: 7001}"
    empty = {"API_SECURE_PORT": "", "CGROUPS_PER_QOS": "", "LEADER_ELECT": " ", "EVICTION_HARD": ""}
    chosen = load(tmp_path, file, **empty)
    assert chosen.api.secure_port == 7001
    assert chosen.kubelet == load(tmp_path).kubelet
    assert chosen.start.leader_elect == "auto"
    own = {"STEPKUBE_ORIGIN_APT": "", "STEPKUBE_ORIGIN_GIT": "", "STEPKUBE_NODE_SANDBOX": ""}
    chosen = load(tmp_path, **own)
    assert (chosen.origin.apt, chosen.origin.git, chosen.node.sandbox) == ("", (), True)


def test_a_choice_may_be_a_boolean_of_yaml(tmp_path: Path) -> None:
    assert load(tmp_path, "start: {leader_elect: true}").start.leader_elect == "true"
    with pytest.raises(Failure, match=r"start\.leader_elect.*'perhaps'.*auto, true, false"):
        load(tmp_path, "start: {leader_elect: perhaps}")


def test_a_config_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"none\.yaml.*\n.*STEPKUBE_CONFIG"):
        settings.load({"STEPKUBE_CONFIG": str(tmp_path / "none.yaml")})


def test_unknown_words_of_the_command_line_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"verison\n.*version"):
        load(tmp_path, "", {"verison": "v1.20.2"})
    with pytest.raises(Failure, match="kubectl run a --image") as told:
        settings.load({}, {"kubectl run a --image": "x"}, tmp_path / "no")
    assert "--option='a=b'" in told.value.hint


def test_instances_share_toolchain_and_source_but_no_state(tmp_path: Path) -> None:
    one = load(tmp_path, STEPKUBE_HOME=str(tmp_path)).paths
    two = load(tmp_path, STEPKUBE_HOME=str(tmp_path), STEPKUBE_INSTANCE="two").paths
    assert (one.toolchain, one.source, one.binaries) == (two.toolchain, two.source, two.binaries)
    for name in ("lock", "certs", "logs", "etcd", "run", "swap", "config"):
        assert getattr(one, name) != getattr(two, name)


def test_a_second_instance_has_ports_of_its_own(tmp_path: Path) -> None:
    one, two = load(tmp_path), load(tmp_path, STEPKUBE_INSTANCE="two")
    assert (one.api.secure_port, one.debug.base_port) == (6443, 39990)
    usual = {one.api.secure_port, one.etcd.port, one.scheduler.secure_port, one.kubelet.port}
    own = {two.api.secure_port, two.etcd.port, two.scheduler.secure_port, two.kubelet.port}
    assert len(own) == 4 and not own & usual
    assert two.debug.base_port != one.debug.base_port
    assert two.api.port == 0, "no port stays no port"
    named = load(tmp_path, STEPKUBE_INSTANCE="two", API_SECURE_PORT="7443")
    assert named.api.secure_port == 7443
    for number in range(1000):
        for port in (2379, 6443, 10259, 39990):
            moved = settings.instance_port(f"i{number}", port)
            assert 1024 < moved < 30000 or 32768 < moved < 60000, "not one of a service"


def test_the_configuration_page_is_the_table() -> None:
    page = settings.ROOT / "docs" / "configuration.md"
    assert page.read_text() == config.markdown(), "write config.markdown() there"


def test_every_variable_has_one_key() -> None:
    names = [row.env for row in table()]
    assert len(names) == len(set(names))
