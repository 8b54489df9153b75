"""What the command line does: signals, methods that are fitted to them, and a report of how they compare."""
