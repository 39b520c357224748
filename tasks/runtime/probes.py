"""Probes: what a component's builder needs to know of this machine, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tasks.components import containerd, spec
from tasks.kubernetes import tool_record
from tasks.runtime import kernel
from tasks.settings.load import Settings


@dataclass(frozen=True)
class Probe:
    """A question to this machine, asked just before a component is built."""

    title: str
    """What `doit explain` calls it."""
    ask: Callable[[Settings], str]
    """Finds the answer out."""
    other: Callable[[str], str]
    """Returns another answer, so that `doit explain` can tell what depends on it."""


def _cni(settings: Settings) -> str:
    """Return the folder of the CNI plugins: named, the distribution's, or those that were built."""
    return str(containerd.cni_plugins(settings) or tool_record.load_tool(settings, "cni").bin)


PROBES: Mapping[spec.Probe, Probe] = {
    "cni": Probe("CNI plugins", _cni, lambda _: "/probe"),
    # empty: there is IPVS
    "ipvs": Probe("IPVS", lambda _: kernel.why_no_ipvs(), lambda why: "" if why else "none"),
}
