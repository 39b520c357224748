"""From a wanted component to a running process, and what is said of it."""
