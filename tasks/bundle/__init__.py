"""One archive with all that `doit up` needs, for a machine that has no network at all."""
