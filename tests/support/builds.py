"""Builds as a new doit does them."""

from __future__ import annotations

from tasks.build import sources
from tasks.build import tasks as build
from tasks.core import doit_run
from tasks.settings.load import Settings


def make(chosen: Settings, module: str) -> build.Binary:
    doit_run.begin()
    assert sources.refresh(chosen, module) is None
    said = build.build(chosen, module)
    assert said is None, said
    return build.load_binary(chosen, module)
