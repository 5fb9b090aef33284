"""REST: what the endpoints of all apps are made of, and core's own: jobs, tokens, the schema."""
