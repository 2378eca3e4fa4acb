"""The experiments: one file a factor, one function a claim."""
