"""What editors want to be told, and edits of their files that keep the rest."""
