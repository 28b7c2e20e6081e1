"""The worker agent in an environment of its own: it pins another version of the reference."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from environments import Environment

ENVIRONMENT = Environment("agent")
PYTHON = ENVIRONMENT.python


def package() -> Path:
    """The installed `deadline_worker_agent`."""
    return ENVIRONMENT.site_packages() / "deadline_worker_agent"


def module(name: str):
    """One file of the agent as a module of this process; it must import nothing else of the agent."""
    spec = importlib.util.spec_from_file_location(f"_agent_{Path(name).stem}", package() / name)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
