"""REST: agreement, decisions, snapshots and exports."""
