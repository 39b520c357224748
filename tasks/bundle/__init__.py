"""One archive with all that `doit up` needs, for a machine without network."""
