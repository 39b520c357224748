"""Watch of the source files: each save builds and restarts what changed."""
