"""Both implementations find a job's manifests, merge them by root, and write, print and refuse the same."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

import boto3
import pytest
from deadline.job_attachments import models as their_models
from deadline.job_attachments.api.manifest import _manifest_download as their_manifest_download
from download.job import FARM, JOB, PREFIX, QUEUE, JobInS3
from rusty_attachments import models as our_models
from rusty_attachments.api.manifest import _manifest_download as our_manifest_download

SIDES = {
    "theirs": (their_manifest_download, their_models),
    "ours": (our_manifest_download, our_models),
}


@dataclass
class DeadlineClient:
    """Answers about one job as boto3's client of Deadline Cloud does; dependencies come one a page."""

    manifests: Optional[list[dict[str, str]]] = None
    dependencies: list[str] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def get_job(self, **ids: str) -> dict[str, Any]:
        self.asked.append(("GetJob", ids))
        if self.manifests is None:
            return {"jobId": ids["jobId"]}
        return {"jobId": ids["jobId"], "attachments": {"manifests": self.manifests}}

    def list_step_dependencies(self, **request: str) -> dict[str, Any]:
        self.asked.append(("ListStepDependencies", request))
        number = int(request["nextToken"] or 0)
        page: dict[str, Any] = {
            "dependencies": [{"stepId": step} for step in self.dependencies[number : number + 1]]
        }
        if number + 1 < len(self.dependencies):
            page["nextToken"] = str(number + 1)
        return page


@pytest.fixture
def job(rig, rig_bucket) -> JobInS3:
    return JobInS3(rig, rig_bucket)


@pytest.fixture
def farm(job):
    """Two roots with inputs, one of them twice, and three steps with outputs below them and elsewhere."""
    partials = [
        job.input("first", {"scene": b"scene", "tex/a": b"tex"}),
        job.input("second", {"other": b"other"}),
        job.input("third", {"scene": b"later", "more": b"more"}),
    ]
    roots = ["/proj/shot", "C:\\assets", "/proj/shot"]
    job.output("step-1/task-1/2023_sessionaction-1", {"cache/a": b"a1", "scene": b"by step 1"}, "/proj/shot")
    job.output("step-1/task-2/2023_sessionaction-2", {"cache/b": b"b1"}, "/proj/shot")
    job.output("step-2/2023_sessionaction-3", {"sim/x": b"x"}, "/sim")
    headers = {"x-amz-meta-asset-root-json": json.dumps("/renders é")}
    job.output("step-3/task-1/2023_sessionaction-4", {"renders/1.exr": b"r"}, headers=headers)
    manifests = [
        {"rootPath": root, "rootPathFormat": "posix", "inputManifestPath": partial}
        for root, partial in zip(roots, partials)
    ]
    return job, manifests


def told(job, tmp_path, name, client, **options):
    """What one side returns or raises, prints, writes and asks for."""
    manifest_download, models = SIDES[name]
    folder = tmp_path / name / "manifests"
    folder.mkdir(parents=True, exist_ok=True)
    printed: list[str] = []
    client.asked.clear()
    asset_type = options.pop("asset_type", "ALL")
    if asset_type is not None:
        options["asset_type"] = getattr(models.AssetType, asset_type)
    if options.pop("silent", False):
        options.pop("print_function_callback", None)
    else:
        options["print_function_callback"] = printed.append
    result: Any
    try:
        response = manifest_download(
            deadline_client=client,
            download_dir=str(folder),
            farm_id=FARM,
            job_id=JOB,
            queue_id=QUEUE,
            queue_role_session=boto3.Session(),
            queue_s3_settings=models.JobAttachmentS3Settings(s3BucketName=job.bucket, rootPrefix=PREFIX),
            **options,
        )
        assert type(response).__name__ == "ManifestDownloadResponse"
        result = asdict(response)
    except Exception as error:
        result = (type(error).__name__, str(error))

    def without_place(value: Any) -> Any:
        text = str(value).replace(str(folder), "FOLDER")
        return re.sub(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", "NOW", text)

    return {
        "result": without_place(result),
        "printed": [without_place(line) for line in printed],
        "files": {without_place(path.name): path.read_bytes() for path in folder.iterdir()},
        "asked": list(client.asked),
    }


def both(job, tmp_path, client, **options):
    theirs, ours = (told(job, tmp_path, name, client, **options) for name in SIDES)
    assert ours == theirs
    return ours


@pytest.mark.parametrize("asset_type", ["INPUT", "OUTPUT", "ALL", None])
@pytest.mark.parametrize("step", [None, "step-3"])
def test_every_type_for_jobs_and_steps(farm, tmp_path, asset_type, step):
    job, manifests = farm
    client = DeadlineClient(manifests, ["step-1", "step-2"])
    ours = both(job, tmp_path, client, asset_type=asset_type, step_id=step)
    assert ours["files"]
    inputs, outputs = asset_type in ("INPUT", "ALL", None), asset_type in ("OUTPUT", "ALL", None)
    assert ("Downloading input manifests for job: job-1" in ours["printed"]) == inputs
    dependencies = [request for name, request in ours["asked"] if name == "ListStepDependencies"]
    assert len(dependencies) == (2 if inputs and step else 0)
    roots = {name.partition("-")[0] for name in ours["files"]}
    expected = {"proj_shot", "C:\\assets"} if inputs else set()
    expected |= {"renders é"} if outputs else set()
    if inputs and step:
        expected.add("sim")
    if outputs and not step:
        expected |= {"proj_shot", "sim"}
    assert roots == expected


def test_the_last_manifest_of_a_root_wins(farm, tmp_path):
    job, manifests = farm
    ours = both(job, tmp_path, DeadlineClient(manifests))
    (text,) = [body for name, body in ours["files"].items() if name.startswith("proj_shot")]
    assert text.count(b'"path":"scene"') == 1
    assert b'"size":9' in text  # that of "by step 1"


def test_jobs_without_anything(job, tmp_path):
    for manifests in [None, []]:
        ours = both(job, tmp_path, DeadlineClient(manifests))
        assert ours["files"] == {}
        assert ours["result"] == "{'downloaded': []}"


def test_no_one_is_told_where_no_callback_is_given(farm, tmp_path, capsys):
    job, manifests = farm
    ours = both(job, tmp_path, DeadlineClient(manifests), silent=True)
    assert len(ours["files"]) == 4
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("body", [None, b"", b"{", b'{"manifestVersion":"1999"}', b'{"paths":[]}'])
def test_input_manifests_that_are_none(job, tmp_path, body):
    partial = job.input("first", {"a": b"a"})
    key = f"{PREFIX}/Manifests/{partial}"
    job.rig.delete(job.bucket, key)
    if body is not None:
        job.rig.put(job.bucket, key, body)
    client = DeadlineClient([{"rootPath": "/r", "rootPathFormat": "posix", "inputManifestPath": partial}])
    theirs, ours = (told(job, tmp_path, name, client) for name in SIDES)
    # The text of an unknown version names both that ours reads: a row of the manifests' differences.
    if body and b"1999" in body:
        theirs["result"] = theirs["result"].replace("2023-03-03)", "2023-03-03, 2025-12-04-beta)")
    assert ours == theirs
    assert "Error" in ours["result"]
    assert ours["files"] == {}


def test_a_job_that_is_not_there_and_an_output_without_a_root(job, tmp_path):
    class NoJob(DeadlineClient):
        def get_job(self, **ids):
            raise KeyError(ids["jobId"])

    assert both(job, tmp_path, NoJob())["result"] == "('KeyError', \"'job-1'\")"
    job.output("step-1/task-1/2023_sessionaction-1", {"x": b"x"}, None)
    ours = both(job, tmp_path, DeadlineClient([]))
    assert "MissingAssetRootError" in ours["result"]
    client = DeadlineClient([{"rootPathFormat": "posix", "inputManifestPath": "x"}])
    assert "KeyError" in both(job, tmp_path, client)["result"]


def test_a_root_without_an_input_manifest_is_passed_over_unlike_the_reference(farm, tmp_path):
    job, manifests = farm
    client = DeadlineClient([{"rootPath": "/none", "rootPathFormat": "posix"}, *manifests])
    theirs, ours = (told(job, tmp_path, name, client) for name in SIDES)
    assert "JobAttachmentsS3ClientError" in theirs["result"]
    assert theirs["files"] == {}
    assert not any("/none" in line for line in ours["printed"])
    assert len(ours["files"]) == 4


def test_the_folder_is_made_unlike_in_the_reference(farm, tmp_path):
    job, manifests = farm
    deep = str(tmp_path / "new/folder")
    for name in SIDES:
        manifest_download, models = SIDES[name]
        arguments = {
            "deadline_client": DeadlineClient(manifests),
            "download_dir": deep,
            "farm_id": FARM,
            "job_id": JOB,
            "queue_id": QUEUE,
            "queue_role_session": None,
            "queue_s3_settings": models.JobAttachmentS3Settings(job.bucket, PREFIX),
        }
        if name == "theirs":
            with pytest.raises(FileNotFoundError):
                manifest_download(**arguments)
        else:
            assert len(manifest_download(**arguments).downloaded) == 4


def test_the_references_types_are_taken(farm, tmp_path):
    job, manifests = farm
    found = our_manifest_download(
        deadline_client=DeadlineClient(manifests),
        download_dir=str(tmp_path),
        farm_id=FARM,
        job_id=JOB,
        queue_id=QUEUE,
        queue_role_session=boto3.Session(),
        queue_s3_settings=their_models.JobAttachmentS3Settings(job.bucket, PREFIX),
        asset_type=their_models.AssetType.INPUT,
    )
    assert [row.manifest_root for row in found.downloaded] == ["/proj/shot", "C:\\assets"]
