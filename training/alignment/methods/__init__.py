"""The registry of training methods. Adding one is a loss function and an entry.

This package imports without torch: a loss is named by a dotted path and resolved when training
starts, so the web process can read the registry, draw the launch form and validate a run.

One module a family: the hyper-parameters of its methods, and the methods themselves as METHODS.
"""

from training.alignment.methods.method import DataKind, Method
from training.alignment.methods.registry import get_method, methods, parse_hyperparameters

__all__ = ["DataKind", "Method", "get_method", "methods", "parse_hyperparameters"]
