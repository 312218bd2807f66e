"""Which environment variables go with a job: what the program reads, but for secrets."""

from __future__ import annotations

from collections.abc import Mapping

HANDED_ON = (
    *("NST_CACHE_DIR", "NST_DATA_DIR", "NST_DEBUG", "NST_LOSS_NETWORK_WEIGHTS", "NST_WEIGHTS_URL"),
    "TORCH_HOME",  # where downloaded weights are kept
    "SVT_LOG",
    *("AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"),
    *("AWS_REGION", "GOOGLE_CLOUD_PROJECT"),
)
"""What users set for the program, and where the storage behind its URIs is to be found."""
OF_A_MACHINE = (
    *("NST_ADDRESS", "NST_JOBS_ADDRESS", "NST_AUTOSCALES_TO", "NST_STATE_DIR"),
    *("NST_CLUSTER_NODE", "NST_JOB", "NST_SUPERVISOR_CHANNEL"),
)
"""What the program reads too, and what says where something runs: every node has its own."""
SECRET = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
"""What every list of jobs would show."""


def handed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those that a job is given."""
    return {name: environment[name] for name in HANDED_ON if environment.get(name)}


def withheld(environment: Mapping[str, str]) -> list[str]:
    """Return the names of those that are set, and that the nodes need in their own environment."""
    return [name for name in SECRET if environment.get(name)]
