"""The worker agent in an environment of its own: it pins another version of the reference."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

VERSION = "0.33.6"
ENVIRONMENT = Path(__file__).parents[2] / ".venv-agent"
PYTHON = ENVIRONMENT / "bin" / "python"


def package() -> Path:
    """The installed `deadline_worker_agent`; installs it first where it is missing."""
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
    found = list(
        ENVIRONMENT.glob(f"lib/python*/site-packages/deadline_cloud_worker_agent-{VERSION}.dist-info")
    )
    if not found:
        requirement = f"deadline-cloud-worker-agent=={VERSION}"
        subprocess.run([str(PYTHON), "-m", "pip", "install", "-q", requirement], check=True)
        found = list(
            ENVIRONMENT.glob(f"lib/python*/site-packages/deadline_cloud_worker_agent-{VERSION}.dist-info")
        )
    return found[0].parent / "deadline_worker_agent"


def module(name: str):
    """One file of the agent as a module of this process; it must import nothing else of the agent."""
    spec = importlib.util.spec_from_file_location(f"_agent_{Path(name).stem}", package() / name)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
