"""Host queries: facts about this machine that a component's builder needs, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tasks.components import containerd, spec
from tasks.kubernetes import tool_record
from tasks.runtime import connectors, kernel
from tasks.settings.load import Settings


@dataclass(frozen=True)
class HostQuery:
    """A query of this machine, answered just before a component is built."""

    title: str
    """The name in the output of `doit explain`."""
    ask: Callable[[Settings], str]
    """Returns the answer."""
    other_answer: Callable[[str], str]
    """Returns a different answer, so that `doit explain` can find what depends on it."""


def _cni(settings: Settings) -> str:
    """Return the folder of the CNI plugins: set by the user, installed, or built."""
    return str(containerd.cni_plugins(settings) or tool_record.load_tool(settings, "cni").bin)


HOST_QUERIES: Mapping[spec.HostQuery, HostQuery] = {
    "cni": HostQuery("CNI plugins", _cni, lambda _: "/probe"),
    # the answer is empty if the kernel can do it
    "connections": HostQuery(
        "connections to the sandbox",
        lambda _: connectors.why_impossible(),
        lambda why: "" if why else "none",
    ),
    # the answer is empty if IPVS is available
    "ipvs": HostQuery("IPVS", lambda _: kernel.why_no_ipvs(), lambda why: "" if why else "none"),
}
