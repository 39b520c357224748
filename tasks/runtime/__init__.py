"""Run components as processes: start, stop, sandbox, container, port forwards."""
