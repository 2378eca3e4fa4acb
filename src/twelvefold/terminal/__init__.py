"""What people see of a run in a terminal, piece by piece; `progress.py` puts it together."""
