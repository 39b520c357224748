"""One file per component: pure functions from settings to command line, files and health check."""
