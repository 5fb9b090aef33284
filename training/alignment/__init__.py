"""Prefloop's training library: from preference data to a better policy, without the web.

`methods`, `config` and `options` import without torch, so that a web process can list methods,
draw a launch form and validate a run; everything else is for the training process or a notebook.
"""
