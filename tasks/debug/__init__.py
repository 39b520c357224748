"""Debug swap: put a running component under Delve and take it out again; breakpoints."""
