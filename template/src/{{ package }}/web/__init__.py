"""The HTTP process type."""
