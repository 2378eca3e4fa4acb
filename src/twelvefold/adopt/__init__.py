"""`twelvefold adopt`: a service that no template made comes under the template's standards, and nothing is overwritten.

It is an update from an empty base, and uses what `twelvefold.update` has. `adopting` reads from top to bottom what
happens: `guesses` answers the template's questions from the service's files, `comparison` looks what both have and what
only the standard has, `choices` holds what is taken, `asking` and `beside` let a person decide, `summary` says what
came of it.
"""
