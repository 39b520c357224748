"""How a module, a thing under cmd/, becomes a binary that can be debugged."""
