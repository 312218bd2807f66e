"""The container image that all rendered clusters use: a Dockerfile and its pinned packages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

BASE_IMAGE = "python:3.11.14-slim-bookworm"
CONSTRAINTS = "constraints.txt"
_DISTRIBUTION = "nst"
_USER = 1000


def dockerfile(image: str) -> str:
    """Return the Dockerfile; it is built in its own folder, with a checkout of ours beside it."""
    return f"""\
# docker build --build-context nst=PATH-OF-A-CHECKOUT-OF-NST -t {image} .
FROM {BASE_IMAGE}

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN apt-get update \\
 && apt-get install --yes --no-install-recommends openssh-client procps rsync \\
 && rm -rf /var/lib/apt/lists/*

COPY {CONSTRAINTS} /tmp/{CONSTRAINTS}
COPY --from=nst pyproject.toml README.md LICENSE /src/
COPY --from=nst nst_core /src/nst_core
COPY --from=nst pipeline /src/pipeline
COPY --from=nst cluster /src/cluster
COPY --from=nst jobs /src/jobs
RUN pip install --constraint /tmp/{CONSTRAINTS} "/src[s3,gcs]" && rm -rf /src

RUN useradd --uid {_USER} --create-home nst && install -d -o nst -g nst /shared
USER {_USER}
WORKDIR /home/nst
CMD ["nst", "--help"]
"""


def constraints() -> str:
    """Return the versions installed here of all that we need, one `name==version` a line."""
    versions = dict(sorted(_closure(_DISTRIBUTION)))
    lines = [f"{name}=={version}" for name, version in versions.items() if name != _DISTRIBUTION]
    return "\n".join(lines) + "\n"


def _closure(root: str) -> Iterator[tuple[str, str]]:
    """Yield names and versions of what is needed here, directly or not, and is installed."""
    waiting, seen = [(root, frozenset(("s3", "gcs")))], set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # for another platform
            continue
        yield _normal(name), distribution.version.partition("+")[0]
        for text in distribution.requires or ():
            needed = Requirement(text)
            wanted = {"", *extras}
            if needed.marker and not any(needed.marker.evaluate({"extra": e}) for e in wanted):
                continue
            waiting.append((_normal(needed.name), frozenset(needed.extras)))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
