"""Bundle: one archive with everything `doit up` needs on a machine without network."""
