"""Source digests, generated code, go build, and the check that a binary can be debugged."""
