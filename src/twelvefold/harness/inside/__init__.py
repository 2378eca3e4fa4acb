"""What is loaded into the service's own interpreter, of whatever version: it needs the standard library alone."""
