"""REST: methods, runs, model versions and promotions."""
