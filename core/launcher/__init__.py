"""`make run`: starts the web process and the workers, watches over them, and stops them."""
