"""Flags of the user: what is not a flag is refused without the binary."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.check import tasks as check
from tasks.components import user_flags
from tasks.components.registry import COMPONENTS
from tasks.components.user_flags import Flag
from tasks.core.errors import Failure
from tasks.kubernetes.facts import Minor
from tasks.settings import load as settings
from tests.support.builders import build

KEYS = [spec.user_flags for spec in COMPONENTS.values() if spec.user_flags]


def test_every_setting_of_flags_is_known() -> None:
    assert KEYS == ["cloud_controller_manager.flags", "kubelet.flags"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max-pods=5", ["'max-pods=5'", "--max-pods=5"]),
        ("-max-pods=5", ["'-max-pods=5'", "--max-pods=5"]),
        ("\u2014max-pods=5", ["--max-pods=5"]),
        ("---max-pods=5", ["--max-pods=5"]),
        ("--v=4 pods", ["'pods'"]),
        ("--node-labels a b", ["'b'", "'--node-labels=a b'"]),
        ("--", ["'--'"]),
        ("--=5", ["'--=5'"]),
        ("''", ["''"]),
        ("'--max-pods 5'", ["--max-pods=5"]),
        ("--help", ["--help"]),
        ("-h", ["-h"]),
        ("--version=raw", ["--version"]),
        ("--a='", ["quot"]),
    ],
)
def test_what_is_not_a_flag_is_refused_with_its_source(
    key: str, text: str, words: list[str]
) -> None:
    made = settings.load({"STEPKUBE_HOME": "/w"}, {key: text}, Path(os.devnull))
    found = [str(failure) for failure in check.problems(made, Minor(1, 20))]
    assert any(all(word in message for word in [key, *words]) for message in found), found
    assert all("the command line" in message and "fix: " in message for message in found)


def test_every_form_of_a_flag_is_read() -> None:
    given = ["--a=1", "--b", "2", "-v=4", "-v", "5", "--c", "--d=", "--e", "-999", "--f=a b"]
    assert user_flags.parse(given, "") == [
        Flag("a", "1"),
        Flag("b", "2", separate=True),
        Flag("v", "4"),
        Flag("v", "5", separate=True),
        Flag("c", None),
        Flag("d", ""),
        Flag("e", "-999", separate=True),
        Flag("f", "a b"),
    ]


def test_the_users_flags_come_last_and_unchanged() -> None:
    argv = build("kubelet", kubelet__flags="--max-pods 5 '--node-labels=a b'").argv
    assert argv[-3:] == ("--max-pods", "5", "--node-labels=a b")


def test_a_credential_that_is_mistyped_or_set_twice_is_refused() -> None:
    for text, word in (("--tokn=x", "--token"), ("--token=a --token=b", "twice")):
        made = settings.load({"STEPKUBE_HOME": "/w", "AUTH_ARGS": text}, {}, Path(os.devnull))
        with pytest.raises(Failure, match="AUTH_ARGS") as caught:
            check.require(made, Minor(1, 20))
        assert word in str(caught.value)
