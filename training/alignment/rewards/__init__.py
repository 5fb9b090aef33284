"""Rewards: what an answer is worth, by any mix of sources, behind one interface."""
