"""Reads of training, across tables and files."""
