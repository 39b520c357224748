"""Debug configurations for VS Code, GoLand and Neovim; edits that keep the user's entries."""
