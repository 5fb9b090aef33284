"""Agreement, aggregation and ratings as plain mathematics: index arrays in, frozen results out.

Nothing here imports Django or our models, so every function can be used from a notebook.
"""
