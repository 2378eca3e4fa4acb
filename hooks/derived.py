"""Makes the template's derived files from what the generated service itself says.

A service is born with them, so they must stand in the template; here they are made, never written by hand.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import copier

ROOT = Path(__file__).parents[1]
# A name that stands nowhere by chance, so that each place where it stands is the service's name.
NAME = "zzyzx-service"
DERIVED = {"env-example": ".env.example", "docs": "docs/configuration.md", "openapi": "openapi.json"}


def main() -> int:
    """Writes the derived files into the template; returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        copier.run_copy(str(ROOT), folder, data={"name": NAME}, defaults=True, vcs_ref="HEAD", quiet=True)
        python = [] if len(sys.argv) == 1 else ["--python", sys.argv[1]]
        subprocess.run(["uv", "sync", "--quiet", "--no-dev", *python], cwd=folder, check=True)
        for action, path in DERIVED.items():
            program = Path(folder, ".venv", "bin", NAME)
            text = subprocess.run([program, "config", action], cwd=folder, check=True, capture_output=True, text=True)
            Path(ROOT, "template", f"{path}.jinja").write_text(re.sub(rf"\b{NAME}\b", "{{ name }}", text.stdout))
    return 0


if __name__ == "__main__":
    sys.exit(main())
