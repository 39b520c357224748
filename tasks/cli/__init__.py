"""Everything that adapts doit: start-up, command line, descriptions of tasks, names, reporter."""
