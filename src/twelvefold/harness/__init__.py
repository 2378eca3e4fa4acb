"""The machinery of the experiments: it starts, feeds, disturbs and watches a service from outside."""
