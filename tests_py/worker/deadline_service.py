"""The few requests to Deadline Cloud that the `deadline` command makes about job attachments, on loopback."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FARM, QUEUE, JOB = "farm-1", "queue-1", "job-1"
_CREATED = {"createdAt": "2026-01-01T00:00:00Z", "createdBy": "someone"}

#: What the security token service says: the queue role's credentials don't name their account.
_IDENTITY = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    "<Arn>arn:aws:sts::{account}:assumed-role/queue/session</Arn><UserId>user</UserId>"
    "<Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
)


class DeadlineService:
    """One farm with one queue with one job; serves for the time of a `with` block.

    Args:
        bucket: The queue's bucket.
        prefix: The queue's root prefix.
        account: The account that owns the bucket.
    """

    def __init__(self, bucket: str, prefix: str, account: str) -> None:
        self.bucket, self.prefix = bucket, prefix
        self.manifests: list[dict[str, Any]] = []
        """The job's manifests, as the service's API has them."""
        self.dependencies: dict[str, list[str]] = {}
        """The steps that a step depends on."""
        self.job: dict[str, Any] = {}
        """What else is known of the job."""
        self.storage_profiles: dict[str, dict[str, Any]] = {}
        """Storage profiles by id, as the service's API has them."""
        self.session_actions: dict[str, list[dict[str, Any]]] = {}
        """The session actions of the job, by session."""
        self.asked: list[str] = []
        """The paths that were asked for."""
        self._identity = _IDENTITY.format(account=account)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def environment(self) -> dict[str, str]:
        """Variables that lead boto3 here."""
        endpoint = f"http://127.0.0.1:{self._server.server_port}"
        return {
            "AWS_ENDPOINT_URL_DEADLINE": endpoint,
            "AWS_ENDPOINT_URL_STS": endpoint,
            # Its host would be management.127.0.0.1.
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        }

    def answer(self, path: str) -> dict[str, Any] | None:
        """What the service says to a GET request; None where there is no such thing."""
        queue = f"/2023-10-12/farms/{FARM}/queues/{QUEUE}"
        if path == queue:
            return self._queue()
        if path == f"{queue}/user-roles":
            return {"credentials": self._credentials()}
        if path == f"{queue}/jobs/{JOB}":
            return self._job()
        if path == f"{queue}/jobs/{JOB}/sessions":
            return {"sessions": [self._session(name) for name in self.session_actions]}
        profile = re.fullmatch(rf"{queue}/storage-profiles/([^/]+)", path)
        if profile:
            return self.storage_profiles.get(profile[1])
        step = re.fullmatch(rf"{queue}/jobs/{JOB}/steps/([^/]+)/dependencies", path)
        if step:
            steps = self.dependencies.get(step[1], [])
            return {"dependencies": [{"stepId": each, "status": "RESOLVED"} for each in steps]}
        return None

    def search(self, wanted: str) -> dict[str, Any]:
        """What the service says to a search for jobs; the body of the request is what is `wanted`."""
        # The command asks for jobs that are active, by their status, and for those that have ended, by their time.
        is_ended = "endedAt" in self.job
        found = [self._job()] if ("dateTimeFilter" in wanted) == is_ended else []
        jobs = [{**job, "queueId": QUEUE} for job in found]
        return {"jobs": jobs, "totalResults": len(jobs)}

    def actions(self, query: str) -> dict[str, Any]:
        """The session actions of the session that a query names."""
        session = dict(pair.split("=") for pair in query.split("&"))["sessionId"]
        return {"sessionActions": self.session_actions[session]}

    def _session(self, name: str) -> dict[str, Any]:
        return {
            "sessionId": name,
            "fleetId": "fleet-1",
            "workerId": "worker-1",
            "startedAt": _CREATED["createdAt"],
            "lifecycleStatus": "STARTED",
        }

    def _queue(self) -> dict[str, Any]:
        return {
            "farmId": FARM,
            "queueId": QUEUE,
            "displayName": "Queue",
            "status": "IDLE",
            "defaultBudgetAction": "NONE",
            "jobAttachmentSettings": {"s3BucketName": self.bucket, "rootPrefix": self.prefix},
            **_CREATED,
        }

    def _credentials(self) -> dict[str, Any]:
        return {
            "accessKeyId": "queue",
            "secretAccessKey": "queuesecret",
            "sessionToken": "queuetoken",
            "expiration": "2099-01-01T00:00:00Z",
        }

    def _job(self) -> dict[str, Any]:
        return {
            "jobId": JOB,
            "name": "Job",
            "lifecycleStatus": "CREATE_COMPLETE",
            "lifecycleStatusMessage": "",
            "priority": 50,
            "attachments": {"manifests": self.manifests, "fileSystem": "COPIED"},
            **_CREATED,
            **self.job,
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                service.asked.append(path)
                is_actions = path.endswith("/session-actions")
                answer = service.actions(query) if is_actions else service.answer(path)
                if answer is None:
                    self._send(404, json.dumps({"message": f"No {path}"}), "application/json")
                else:
                    self._send(200, json.dumps(answer), "application/json")

            def do_POST(self) -> None:
                wanted = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                if self.path.endswith("/search/jobs"):
                    self._send(200, json.dumps(service.search(wanted)), "application/json")
                else:
                    self._send(200, service._identity, "text/xml")

            def _send(self, status: int, body: str, kind: str) -> None:
                data = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                if status == 404:
                    self.send_header("x-amzn-ErrorType", "ResourceNotFoundException")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def __enter__(self) -> DeadlineService:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
