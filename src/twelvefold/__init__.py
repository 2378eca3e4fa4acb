"""The companion command of Twelvefold: it proves by experiment that a service follows the twelve factors."""
