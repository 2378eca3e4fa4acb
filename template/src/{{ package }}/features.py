"""The list of features that the process types load: the only module that names them."""

FEATURES: tuple[str, ...] = ("notes",)
