"""Check of settings and mirrors: invalid ones are refused before any download."""
