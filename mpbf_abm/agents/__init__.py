"""Agents: curators, trainers and planners, and what they share."""
