"""The example feature: short notes. Delete this folder, its tests and its migration, and the rest still stands."""
