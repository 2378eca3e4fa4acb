"""`up FOLDER SERVICE` starts a private engine for a service, or adds to a running one; `down FOLDER` stops it."""

import shlex
import shutil
import sys
from pathlib import Path

from . import PROGRAMS, daemon, stand_ins

match sys.argv[1:]:
    case ["up", folder, service]:
        engine = daemon.start(Path(folder).resolve(), PROGRAMS)
        stand_ins.load(engine, Path(service))
        told = {name: engine.environment[name] for name in ("DOCKER_HOST", "DOCKER_CONFIG", "PATH")}
        told[stand_ins.VARIABLE] = "1"
        print("export", *(f"{name}={shlex.quote(value)}" for name, value in told.items()))
    case ["down", folder]:
        daemon.stop(Path(folder).resolve(), PROGRAMS)
        shutil.rmtree(folder, ignore_errors=True)
    case _:
        sys.exit(__doc__)
