"""One module per component: pure functions from settings to argv, files and health check."""
