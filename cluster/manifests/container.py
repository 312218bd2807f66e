"""The container image that all rendered clusters use: a Dockerfile and its pinned packages."""

from __future__ import annotations

from functools import cache
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from nst_core.errors import EnvironmentProblem

CONSTRAINTS = "constraints.txt"
_DISTRIBUTION = "nst"
USER = 1000
"""Who runs in the container."""


def dockerfile(image: str, shared: str, base: str) -> str:
    """Return the Dockerfile; it is built in its own folder, with a checkout of ours beside it.

    A C compiler is in it because Triton compiles with it what it starts CUDA kernels with; the
    driver's parts that decode and encode are asked for beside those that compute. ``shared`` is
    where the shared storage will be: a new volume takes on the rights of the folder that the image
    has there, and any user may write.
    """
    return f"""\
# docker build --build-context nst=PATH-OF-A-CHECKOUT-OF-NST -t {image} .
# docker run --rm --gpus all {image} nst doctor --gpu
FROM {base}

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
RUN apt-get update \\
 && apt-get install --yes --no-install-recommends gcc libc6-dev openssh-client procps rsync \\
 && rm -rf /var/lib/apt/lists/*

COPY {CONSTRAINTS} /tmp/{CONSTRAINTS}
COPY --from=nst pyproject.toml README.md LICENSE /src/
COPY --from=nst nst_core /src/nst_core
COPY --from=nst pipeline /src/pipeline
COPY --from=nst cluster /src/cluster
COPY --from=nst jobs /src/jobs
COPY --from=nst nst /src/nst
RUN pip install --constraint /tmp/{CONSTRAINTS} "/src{_bracketed(extras_here())}" && rm -rf /src

RUN useradd --uid {USER} --create-home nst && install -d -m 1777 {shared}
USER {USER}
WORKDIR /home/nst
CMD ["nst", "--help"]
"""


def dockerignore() -> str:
    """Return what keeps all but the pinned packages, the token above all, out of a build."""
    return f"*\n!{CONSTRAINTS}\n"


def constraints() -> str:
    """Return the versions installed here of all that we need, one `name==version` a line.

    Raises EnvironmentProblem where one of them is not installed: the image would have any version.
    """
    versions, missing = _closure(frozenset(extras_here()))
    if missing:
        raise EnvironmentProblem(
            f"{', '.join(sorted(missing))}: needed by nst and not installed here, so that no "
            "version can be named; install nst anew (pip install)"
        )
    return "".join(f"{name}=={version}\n" for name, version in sorted(versions.items()))


def extras_here() -> list[str]:
    """Return the extras of ours whose packages are installed here: the image gets those."""
    known = metadata.metadata(_DISTRIBUTION).get_all("Provides-Extra") or []
    return sorted(extra for extra in known if not _closure(frozenset([extra]))[1])


def _closure(extras: frozenset[str]) -> tuple[dict[str, str], set[str]]:
    """Return the versions of all that we need here, directly or not, and what is missing of it."""
    waiting, seen = [(_DISTRIBUTION, extras)], set()
    versions: dict[str, str] = {}
    missing = set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        installed = _installed(name)
        if installed is None:
            missing.add(name)
            continue
        versions[name], needs = installed
        waiting += [
            (canonicalize_name(need.name), frozenset(need.extras))
            for need in needs
            if _applies(need, wanted)
        ]
    del versions[_DISTRIBUTION]
    return versions, missing


@cache
def _installed(name: str) -> tuple[str, list[Requirement]] | None:
    """Return the version of a distribution and what it needs; None: it is not installed here."""
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    needs = [Requirement(text) for text in distribution.requires or ()]
    return distribution.version.partition("+")[0], needs


def _applies(need: Requirement, extras: frozenset[str]) -> bool:
    return need.marker is None or any(need.marker.evaluate({"extra": e}) for e in ("", *extras))


def _bracketed(extras: list[str]) -> str:
    return f"[{','.join(extras)}]" if extras else ""
