"""From a component to a process: spawn, sandbox, container, port forwards, kubectl."""
