"""Up, down, start, stop, status."""
