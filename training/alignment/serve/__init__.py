"""A small OpenAI-compatible server over one model folder.

It stands on the standard library's HTTP server: one thread a connection only waits, for all the
work is in one thread that runs the engine, and nothing is installed for it.
"""
