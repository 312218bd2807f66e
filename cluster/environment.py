"""What Ray's processes find in their environment, on every node that is ours."""

from __future__ import annotations

_PATIENCE = {
    # On a busy machine a process needs minutes to import Ray; a raylet without its agent ends.
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "180",
    "RAY_gcs_server_port_wait_time_s": "180",
    "RAY_gcs_rpc_server_connect_timeout_s": "60",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "600",
}

NODE_ENVIRONMENT = {
    **_PATIENCE,
    # Ray's own 15 leaves workers on a busy machine without a hundredth of a processor.
    "RAY_worker_niceness": "0",
    "PYTHONSAFEPATH": "1",  # a user's current folder is not where modules come from
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A connection whose other end is gone without a word is noticed after these, not after hours.
    "RAY_grpc_client_keepalive_time_ms": "5000",
    "RAY_grpc_client_keepalive_timeout_ms": "5000",
    # Segments and pieces of up to so much go with the call, not by way of the object store.
    "RAY_max_direct_call_object_size": str(1 << 20),
    # `nst` leaves work that can be resumed: more than Ray's 3 s are needed for that.
    "RAY_JOB_STOP_WAIT_TIME_S": "60",
}
"""Environment of every node, and of whoever connects to one."""

HEAD_ENVIRONMENT = {
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}
"""Environment of the head: a node that does not answer is given up after about 10 s."""
