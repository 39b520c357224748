"""From a component to a process: start, stop, sandbox, container, port forwards."""
