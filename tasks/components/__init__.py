"""One small file per component: pure functions from settings to a command line."""
