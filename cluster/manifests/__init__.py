"""Files from which others build clusters for us: KubeRay, `ray up`, docker compose."""
