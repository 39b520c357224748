"""Everything that adapts doit: start-up, command line, task descriptions and names, reporter."""
