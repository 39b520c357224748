"""The debug swap: its engine, its journal, and what other clients of Delve leave behind."""
