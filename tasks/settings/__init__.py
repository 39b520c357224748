"""Settings: their table, reading from file, environment and command line; paths; addresses."""
