"""The connection to doit: start-up, command line, task descriptions and names, reporter."""
