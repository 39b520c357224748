"""Tasks of the whole cluster: up, down, start, stop, status; the foreground mode."""
