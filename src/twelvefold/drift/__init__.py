"""`twelvefold drift`: how far a service's standard files are from its template, at the version that the service has.

`comparing` reads from top to bottom how that is found out. `place` looks at what lies in the service, `waivers` reads
which differences a team has a reason for, `findings` holds what was found, and `telling` says it in words and as data.
"""

from .comparing import Options, drift, drift_of_commit
from .findings import Behind, Drift, File, State

__all__ = ["Behind", "Drift", "File", "Options", "State", "drift", "drift_of_commit"]
