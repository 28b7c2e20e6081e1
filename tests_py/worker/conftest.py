"""Fixtures for the tests of the `deadline` command."""

from __future__ import annotations

import pytest
from deadline_command import BUCKET, PREFIX, Deadline
from deadline_service import DeadlineService
from rig.server import ACCOUNT


@pytest.fixture
def service():
    with DeadlineService(BUCKET, PREFIX, ACCOUNT) as started:
        yield started


@pytest.fixture
def both(tmp_path, rig, service):
    """Runs a scenario unswapped and swapped, and gives what came of each."""

    def run(scenario):
        outcomes = []
        for swapped in (False, True):
            service.asked.clear()
            deadline = Deadline(tmp_path / "deadline", rig, service, swapped)
            rig.config(log=True)
            outcomes.append((scenario(deadline), list(service.asked)))
            # Requests of the tests themselves name no agent.
            agents = {entry["user_agent"] or "" for entry in rig.log()}
            if swapped:
                assert not any("Boto3" in each for each in agents), agents
            rig.reset()
        return outcomes

    return run
