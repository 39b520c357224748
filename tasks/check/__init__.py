"""Settings that cannot work are refused before anything is fetched; mirrors are resolved."""
