"""Everything that adapts doit: start-up, task names, reporter."""
