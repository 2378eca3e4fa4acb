"""Sabotages of factor IX, disposability."""

from . import Sabotage

SABOTAGES: list[Sabotage] = []
