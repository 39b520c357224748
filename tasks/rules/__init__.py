"""What the settings must satisfy, each rule with the words that refuse it."""
