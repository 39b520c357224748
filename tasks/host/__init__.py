"""Prepares the host: opt-in, shown first, backed up, undoable; no other task depends on it."""
