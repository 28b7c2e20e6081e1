"""Downloading the outputs of a queue's jobs as they come."""
