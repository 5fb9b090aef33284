"""Writes of core: one operation a function."""
