"""Tasks up, down, start, stop and status; the foreground mode."""
