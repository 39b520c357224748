"""Refuse the user's flags before the first component of a run is restarted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tasks.components.registry import COMPONENTS
from tasks.core import doit_run
from tasks.runtime import accepted_flags, processes
from tasks.settings.load import Settings


def require_user_flags(settings: Settings, names: Iterable[str]) -> None:
    """Raise Failure if one of the components does not accept a flag of the user.

    Only binaries that this run builds or has found up to date are asked. So the first component is
    not restarted when a later one would be refused.
    """
    built = doit_run.current().selected_with_dependencies("build:")
    for name, module in modules_with_user_flags(settings, names):
        if f"build:{module}" in built and settings.paths.built(module).is_file():
            accepted_flags.require(settings, processes.desired_component(settings, name))


def modules_with_user_flags(settings: Settings, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the components that have flags of the user, each with the module it is built from."""
    for name in names:
        spec = COMPONENTS[name]
        module = spec.built_module(settings)
        if module and spec.user_flags and settings.value(spec.user_flags):
            yield name, module
