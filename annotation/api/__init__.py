"""REST: who is asked what, and what they answered."""
