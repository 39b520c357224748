"""The Lua file for nvim-dap, run with stand-ins for Neovim and nvim-dap."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tasks.editors import naming
from tests.support.launches import PORTS, launch, with_checkout, write

NEOVIM = """
local calls = {}
local function filter(keep, list)
  local kept = {}
  for _, item in ipairs(list) do if keep(item) then table.insert(kept, item) end end
  return kept
end
vim = {
  tbl_filter = filter,
  list_extend = function(all, more) for _, x in ipairs(more) do table.insert(all, x) end end,
  log = { levels = { ERROR = 4 } },
  notify = function(text) print("notify " .. text) end,
  fn = { jobstart = function(argv, options)
    print("job " .. argv[#argv])
    options.on_stdout(0, { "why" })
    options.on_exit(0, FAIL and 1 or 0)
  end },
  api = { nvim_create_user_command = function(name, run) vim.commands = run end },
}
local dap = { adapters = {}, configurations = { go = {
  { type = "go", name = "mine" }, { type = "go", name = "stepkube: debug kubelet" },
} } }
dap.providers = { configs = { ["dap.launch.json"] = function()
  return {
    { name = "stepkube: debug kubelet" }, { name = "stepkube@one-3: debug kubelet (port 5)" },
    { name = "stepkubes: mine" }, {},
  }
end } }
package.loaded.dap = dap
for _ = 1, 2 do for _, file in ipairs(arg) do dofile(file) end end
for _, entry in ipairs(dap.configurations.go) do print("entry " .. entry.name) end
for _, entry in ipairs(dap.providers.configs["dap.launch.json"]()) do
  print("launch " .. tostring(entry.name))
end
for _, entry in ipairs(dap.configurations.go) do
  if dap.adapters[entry.type] then
    dap.adapters[entry.type](function(server) print("connect " .. server.port) end, entry)
  end
end
FAIL = true
dap.adapters.stepkube(function() print("connect") end, dap.configurations.go[2])
vim.commands({ args = "kubelet@two" })
"""


def test_neovim_has_each_component_once_and_debugs_it_first(tmp_path: Path, tree: Path) -> None:
    interpreter = shutil.which("lua5.1") or shutil.which("luajit") or shutil.which("lua")
    if not interpreter:
        pytest.skip("Lua is not installed")
    both = [with_checkout(tmp_path, tree), with_checkout(tmp_path, tree, STEPKUBE_INSTANCE="two")]
    assert not any(write(chosen) for chosen in both)
    (tmp_path / "run.lua").write_text(NEOVIM)
    snippets = [tree / naming.Naming(chosen.name).snippet for chosen in both]
    done = subprocess.run(
        [interpreter, tmp_path / "run.lua", *snippets],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    entries = [line.removeprefix("entry ") for line in lines if line.startswith("entry ")]
    assert sorted(entries) == sorted(
        ["mine", *(entry["name"] for entry in launch(tree)["configurations"])]
    )
    assert [line for line in lines if line.startswith("launch ")] == [
        "launch stepkubes: mine",
        "launch nil",
    ]
    base = both[1].debug.base_port
    for component, port in PORTS.items():
        for shown in (port, port - 39990 + base):
            assert lines[lines.index(f"connect {shown}") - 1] == f"job debug:{component}"
    assert lines[-4:] == [
        "job debug:kube-apiserver",
        "notify why",
        "job undebug:kubelet",
        "notify why",
    ]
