"""Logs of the components: several at once on one time axis, filtered, followed."""
