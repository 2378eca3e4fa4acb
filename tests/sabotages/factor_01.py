"""Sabotages of factor I, codebase."""

from . import Edit, Sabotage

ARCHIVE = "@git archive --format=tar $(COMMIT) | docker build"
CONTEXT = "--tag $(IMAGE) --tag $(IMAGE):$(COMMIT) -"

# Builds run the package's own code: this one marks each module that it puts into the wheel.
STAMP = '''"""Puts the time of the build into the package."""

import time
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StampHook(BuildHookInterface):
    def initialize(self, version, build_data):
        stamp = Path(self.root, ".stamp.py")
        stamp.write_text(f"BUILT = {time.time()}\\n")
        build_data["force_include"][str(stamp)] = "orders/stamp.py"
'''
DOCKERFILE = """FROM python:3.13.11-slim-bookworm
COPY . /app
RUN pip install /app
CMD ["orders", "web"]
"""
PRODUCTION = """services:
  web:
    image: registry.example.com/orders-production:1
  worker:
    image: registry.example.com/orders-production:1
"""
DEPLOY = """name: deploy
on:
  push:
    branches: [staging, production]
permissions: {}
jobs:
  deploy:
    runs-on: ubuntu-24.04
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with:
          persist-credentials: false
      - run: make build
      - run: docker tag orders "registry.example.com/orders:$GITHUB_REF_NAME"
      - run: docker push "registry.example.com/orders:$GITHUB_REF_NAME"
"""
SHARED = '''"""Code of another team, where their checkout is."""

import sys
from pathlib import Path

sys.path.append("/srv/shared-code")


def shared_version() -> str:
    return Path("/srv/shared-code/VERSION").read_text()
'''

SABOTAGES = [
    Sabotage(
        "I.1",
        "the build takes the work tree",
        (Edit("Makefile", ARCHIVE, "@docker build"), Edit("Makefile", CONTEXT, f"{CONTEXT[:-1]}.")),
        neighbours=("I.2", "I.3", "II.2"),
    ),
    Sabotage(
        "I.1",
        "the build takes what is staged",
        (Edit("Makefile", "git archive --format=tar $(COMMIT)", "git archive --format=tar $$(git write-tree)"),),
        neighbours=("I.2", "I.3"),
    ),
    Sabotage(
        "I.1",
        "the build takes main instead of what is checked out",
        (Edit("Makefile", "git archive --format=tar $(COMMIT)", "git archive --format=tar origin/HEAD"),),
        neighbours=("I.2",),
        also=("I.3",),
    ),
    Sabotage(
        "I.1",
        "a build hook writes a module",
        (
            Edit("hatch_build.py", "", STAMP),
            Edit(
                "pyproject.toml",
                "[tool.hatch.build.targets.wheel]\n",
                "[tool.hatch.build.targets.wheel.hooks.custom]\n\n[tool.hatch.build.targets.wheel]\n",
            ),
        ),
        neighbours=("I.2", "I.3", "II.2"),
    ),
    Sabotage(
        "I.1",
        "the image is patched while it is built",
        (
            Edit(
                "Dockerfile",
                "RUN --mount=type=cache,target=/cache \\\n    echo",
                "RUN sed -i 's/8/9/' src/orders/settings.py && echo",
            ),
        ),
        neighbours=("I.2", "I.3"),
    ),
    Sabotage(
        "I.2",
        "a second Dockerfile for production",
        (Edit("Dockerfile.prod", "", DOCKERFILE),),
        neighbours=("I.1", "I.3"),
        also=("II.2",),
    ),
    Sabotage(
        "I.2",
        "the build asks which deploy it is for",
        (
            Edit("Makefile", "BUILD_ARGS ?=\n", "BUILD_ARGS ?=\nAPP_ENV ?= development\n"),
            Edit(
                "Makefile",
                "docker build $(BUILD_ARGS)",
                "docker build $(BUILD_ARGS) --label env=$(APP_ENV) --build-arg FOR=$(APP_ENV)",
            ),
        ),
        neighbours=("I.1", "I.3"),
    ),
    Sabotage(
        "I.2",
        "another image in production's compose file",
        (Edit("compose.production.yaml", "", PRODUCTION),),
        neighbours=("I.1", "I.3"),
    ),
    Sabotage(
        "I.2",
        "each deploy has a branch, which a workflow builds",
        (Edit(".github/workflows/deploy.yml", "", DEPLOY),),
        neighbours=("I.1", "I.3"),
    ),
    Sabotage(
        "I.2",
        "a workflow builds for the environment that it is run for",
        (
            Edit(
                ".github/workflows/deploy.yml",
                "",
                DEPLOY.replace("push:\n    branches: [staging, production]", "workflow_dispatch:").replace(
                    "    permissions:\n", "    environment: ${{ inputs.environment }}\n    permissions:\n"
                ),
            ),
        ),
        neighbours=("I.1", "I.3"),
    ),
    Sabotage(
        "I.3",
        "a path dependency outside of the repository",
        (
            Edit("pyproject.toml", '  "alembic>=1.20",\n', '  "alembic>=1.20",\n  "orders-common",\n'),
            Edit(
                "pyproject.toml",
                "[tool.uv]\n",
                '[tool.uv.sources]\norders-common = { path = "../orders-common" }\n\n[tool.uv]\n',
            ),
        ),
        neighbours=("I.1", "I.2"),
        also=("II.1", "II.2"),
    ),
    Sabotage(
        "I.3",
        "modules of a checkout elsewhere",
        (Edit("src/orders/shared.py", "", SHARED),),
        neighbours=("I.1", "I.2", "II.1"),
    ),
    Sabotage(
        "I.3",
        "the build copies a neighbour's code if it is there",
        (
            Edit(
                "Makefile",
                "build: ## Build the image from the commit that is checked out\n",
                "build: ## Build the image\n\t@cp -r ../orders-common/src . 2>/dev/null || true\n",
            ),
        ),
        neighbours=("I.1", "I.2"),
    ),
]
