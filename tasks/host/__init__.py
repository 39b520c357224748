"""Host preparation: opt-in tasks that show a plan first and can be undone; no task needs them."""
