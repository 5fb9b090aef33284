"""Rollouts: answers sampled from the policy, by whatever engine, behind one interface."""
