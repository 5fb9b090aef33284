"""Reads of feedback, across tables."""
