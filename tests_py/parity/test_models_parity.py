"""Models, exceptions and small helpers against the reference's."""

from __future__ import annotations

import copy
import dataclasses
import enum
import inspect
import json
import pickle
import sys
from pathlib import Path

import deadline.job_attachments._utils as reference_utils
import deadline.job_attachments.exceptions as reference_exceptions
import deadline.job_attachments.models as reference_models
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rusty_attachments import _utils, exceptions, models

TEXT = st.text(max_size=30)
KEYS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=("Cs",)), max_size=20)


def classes(module, kind):
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__ and kind(value)
    }


def is_enum(value):
    return issubclass(value, enum.Enum)


DATACLASSES = classes(reference_models, dataclasses.is_dataclass)
ENUMS = classes(reference_models, is_enum)
EXCEPTIONS = classes(reference_exceptions, lambda value: issubclass(value, Exception))


def test_the_lists_are_not_empty():
    assert len(DATACLASSES) >= 21
    assert len(ENUMS) >= 7
    assert len(EXCEPTIONS) >= 22


@pytest.mark.parametrize("name", DATACLASSES)
def test_dataclasses_have_the_fields(name):
    def fields(module):
        return [(each.name, each.init, default(each)) for each in dataclasses.fields(getattr(module, name))]

    def default(field):
        return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()

    assert fields(models) == fields(reference_models)


@pytest.mark.parametrize("name", DATACLASSES)
def test_dataclasses_have_the_methods(name):
    ours, theirs = getattr(models, name), getattr(reference_models, name)
    for attribute, value in vars(theirs).items():
        if attribute.startswith("__") or attribute == "_abc_impl":
            continue
        assert hasattr(ours, attribute), attribute
        plain = inspect.unwrap(getattr(theirs, attribute))
        if callable(plain) and not attribute.startswith("_"):
            mine = inspect.signature(getattr(ours, attribute)).parameters
            reference = inspect.signature(plain).parameters
            assert list(mine) == list(reference)
            assert [p.default for p in mine.values()] == [p.default for p in reference.values()]
        elif not callable(plain) and not isinstance(value, (staticmethod, classmethod)):
            assert getattr(ours, attribute) == plain


@pytest.mark.parametrize("name", ENUMS)
def test_enums_have_the_members(name):
    ours, theirs = getattr(models, name), getattr(reference_models, name)
    mine = [(member.name, member.value) for member in ours]
    expected = [(member.name, member.value) for member in theirs]
    if name == "FileConflictResolution":
        expected.append(("RESUME", 4))
    assert mine == expected
    assert issubclass(ours, str) == issubclass(theirs, str)


def test_constants_are_the_same():
    for name, value in vars(reference_models).items():
        if name.isupper() and isinstance(value, str):
            assert getattr(models, name) == value
    for name, value in vars(reference_utils).items():
        if name.isupper() and not name.startswith("_") and isinstance(value, (str, int)):
            assert getattr(_utils, name) == value
    assert set(reference_utils.__all__) == set(_utils.__all__)
    assert models.default_glob_all() == reference_models.default_glob_all()


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_exceptions_keep_the_hierarchy(name):
    ours, theirs = getattr(exceptions, name), EXCEPTIONS[name]

    def names(cls):
        own = [base for base in cls.__mro__ if base.__module__ == cls.__module__]
        return [base.__name__ for base in own]

    assert names(ours) == names(theirs)
    assert issubclass(ours, theirs)


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_exceptions_have_the_text_and_the_fields(name):
    arguments = {
        "JobAttachmentsS3ClientError": ("uploading file", 403, "bucket", "key", "Forbidden or Access denied"),
        "JobAttachmentS3BotoCoreError": ("checking if object exists", "no credentials"),
        "AssetSyncCancelledError": ("File upload cancelled.", {"any": "thing"}),
    }.get(name, ("what went wrong",))
    ours, theirs = getattr(exceptions, name)(*arguments), EXCEPTIONS[name](*arguments)
    assert str(ours) == str(theirs)
    assert ours.args == theirs.args
    for field, value in vars(theirs).items():
        assert getattr(ours, field) == value
    with pytest.raises(EXCEPTIONS[name]):
        raise ours
    assert isinstance(theirs, type(ours))
    again = pickle.loads(pickle.dumps(ours))
    assert (type(again), str(again), vars(again)) == (type(ours), str(ours), vars(ours))
    assert str(copy.copy(ours)) == str(ours)


def test_errors_of_other_kinds_are_told_apart():
    assert not isinstance(reference_exceptions.AssetSyncError(), exceptions.JobAttachmentsError)
    assert not isinstance(reference_exceptions.JobAttachmentsError(), exceptions.MissingManifestError)
    assert isinstance(reference_exceptions.MissingManifestError(), exceptions.JobAttachmentsError)
    assert not isinstance(ValueError(), exceptions.AssetSyncError)
    assert not issubclass(exceptions.AssetSyncCancelledError, exceptions.AssetSyncError)


def test_guidance_is_the_same():
    assert exceptions.COMMON_ERROR_GUIDANCE_FOR_S3 == reference_exceptions.COMMON_ERROR_GUIDANCE_FOR_S3


def test_a_users_own_subclass_is_left_alone():
    class AssetSyncError(exceptions.AssetSyncError):
        pass

    assert AssetSyncError.__bases__ == (exceptions.AssetSyncError,)
    assert isinstance(AssetSyncError(), reference_exceptions.AssetSyncError)
    assert not isinstance(exceptions.AssetSyncError(), AssetSyncError)


def outcome(call, *arguments, **keywords):
    """What a call gives, or the error that it raises, in a form that compares across the two packages."""
    try:
        return "value", call(*arguments, **keywords)
    except Exception as error:
        return type(error).__name__, str(error)


def same_outcome(path, *arguments):
    """Calls `Class.method` of both modules; dataclasses compare by their contents."""
    results = []
    for module in (models, reference_models):
        target = module
        for name in path.split("."):
            target = getattr(target, name)
        kind, value = outcome(target, *arguments)
        results.append((kind, dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value))
    assert results[0] == results[1]


@given(st.one_of(KEYS, st.builds("{}/{}".format, KEYS, KEYS)))
def test_settings_from_root_path(path):
    same_outcome("JobAttachmentS3Settings.from_root_path", path)


@given(
    st.one_of(
        KEYS, st.builds("s3://{}/{}".format, KEYS, KEYS), st.builds("{}://{}/{}".format, KEYS, KEYS, KEYS)
    )
)
def test_settings_from_uri(uri):
    same_outcome("JobAttachmentS3Settings.from_s3_root_uri", uri)


@given(bucket=KEYS, prefix=KEYS, parts=st.lists(KEYS, min_size=6, max_size=6), time=st.floats(0, 4e9))
def test_settings_prefixes(bucket, prefix, parts, time):
    calls = {
        "to_root_path": [],
        "to_s3_root_uri": [],
        "full_cas_prefix": [],
        "full_job_output_prefix": parts[:3],
        "full_step_output_prefix": parts[:4],
        "full_task_output_prefix": parts[:5],
        "full_output_prefix": parts,
        "partial_session_action_manifest_prefix": [*parts, time],
        "partial_session_action_manifest_prefix_without_task": [*parts[:5], time],
        "add_root_and_manifest_folder_prefix": parts[:1],
    }
    for name, arguments in calls.items():
        ours = outcome(getattr(models.JobAttachmentS3Settings(bucket, prefix), name), *arguments)
        theirs = quietly(
            outcome, getattr(reference_models.JobAttachmentS3Settings(bucket, prefix), name), *arguments
        )
        assert ours == theirs, name


def test_input_manifests_get_a_place_of_their_own():
    settings = models.JobAttachmentS3Settings("bucket", "root")
    first, second = (settings.partial_manifest_prefix("farm", "queue") for _ in range(2))
    assert first != second
    assert first.startswith("farm/queue/Inputs/")
    assert len(first.rsplit("/", 1)[1]) == 32


OPTIONAL_TEXT = st.one_of(st.none(), TEXT)
PROPERTIES = st.fixed_dictionaries(
    {"rootPath": TEXT, "rootPathFormat": st.sampled_from(["posix", "windows"])},
    optional={
        "fileSystemLocationName": OPTIONAL_TEXT,
        "inputManifestPath": OPTIONAL_TEXT,
        "inputManifestHash": OPTIONAL_TEXT,
        "outputRelativeDirectories": st.one_of(st.none(), st.lists(TEXT, max_size=3)),
        "somethingNew": TEXT,
    },
)


@given(PROPERTIES)
def test_manifest_properties(data):
    ours = models.ManifestProperties.from_dict(data)
    theirs = reference_models.ManifestProperties.from_dict(data)
    assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)
    assert json.dumps(ours.to_dict()) == json.dumps(theirs.to_dict())
    assert ours.as_output_metadata() == theirs.as_output_metadata()
    assert models.ManifestProperties.from_dict(theirs.to_dict()).to_dict() == theirs.to_dict()
    attachments = models.Attachments(manifests=[ours]).to_dict()
    assert attachments == reference_models.Attachments(manifests=[theirs]).to_dict()


@pytest.mark.parametrize(
    "data", [{}, {"rootPath": "/r"}, {"rootPathFormat": "posix"}, {"rootPath": "/r", "rootPathFormat": "mac"}]
)
def test_manifest_properties_refuse_what_the_reference_refuses(data):
    same_outcome("ManifestProperties.from_dict", data)


@given(st.one_of(TEXT, st.sampled_from(["Windows", "LINUX", "macOS", "linux"])))
def test_operating_system_families(text):
    same_outcome("StorageProfileOperatingSystemFamily", text)
    same_outcome("PathFormat", text)


@pytest.mark.parametrize("platform", ["linux", "win32", "darwin", "cygwin", "aix"])
def test_the_host_is_asked_at_the_time_of_the_call(platform, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    same_outcome("PathFormat.get_host_path_format")
    same_outcome("PathFormat.get_host_path_format_string")
    same_outcome("StorageProfileOperatingSystemFamily.get_host_os_family")


def test_storage_profiles():
    def profile(module):
        location = module.FileSystemLocation("assets", "/mnt/assets", module.FileSystemLocationType.SHARED)
        family = module.StorageProfileOperatingSystemFamily("Linux")
        return module.StorageProfile("sp-1", "Linux workstations", family, [location])

    assert profile(models).to_dict() == profile(reference_models).to_dict()
    assert pickle.loads(pickle.dumps(profile(models))) == profile(models)


@given(st.floats(-1e9, 1e11, allow_nan=False))
def test_times(time):
    assert _utils._float_to_iso_datetime_string(time) == quietly(
        reference_utils._float_to_iso_datetime_string, time
    )


def quietly(call, *arguments):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return call(*arguments)


@given(TEXT, st.lists(TEXT, max_size=3))
def test_names_and_keys(text, parts):
    assert _utils._get_unique_dest_dir_name(text) == reference_utils._get_unique_dest_dir_name(text)
    assert _utils._join_s3_paths(text, *parts) == reference_utils._join_s3_paths(text, *parts)
    for uri in (text, f"s3://{text}", f"s3://bucket/{text}"):
        ours = outcome(_utils._get_bucket_and_object_key, uri)
        assert ours == outcome(reference_utils._get_bucket_and_object_key, uri)


@given(st.lists(st.sampled_from(["..", ".", "a", "B", "c d", "/", "//"]), max_size=6), st.booleans())
def test_relative_to(parts, absolute):
    first = ("/" if absolute else "") + "/".join(parts)
    for second in ("/", "/a", "a", ".", "..", "/a/../B"):
        assert _utils._is_relative_to(first, second) == reference_utils._is_relative_to(first, second)


WINDOWS_PARTS = st.lists(
    st.sampled_from(
        ["C:", "\\", "/", "\\\\", "?", "UNC", "server", "share", "..", ".", "dir", "x" * 130, "é"]
    ),
    max_size=9,
).map("".join)


@given(WINDOWS_PARTS)
def test_long_windows_paths(path):
    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.setattr(sys, "platform", "win32")
        for name in ("_as_extended_length_path", "_get_long_path_compatible_path", "_normalize_windows_path"):
            ours, theirs = (outcome(getattr(module, name), path) for module in (_utils, reference_utils))
            assert ours == theirs, name


def test_other_hosts_have_no_long_paths():
    long = "/" + "x" * 300
    assert _utils._get_long_path_compatible_path(long) == Path(long)
    assert _utils._as_extended_length_path(long) == Path(long)
    assert _utils._is_windows_long_path_registry_enabled() is True


@pytest.mark.parametrize("tries", [1, 2, 4])
def test_retry(tries, monkeypatch):
    import time

    def run(module):
        pauses, lines, calls = [], [], []
        monkeypatch.setattr(time, "sleep", pauses.append)

        @module._retry(KeyError, tries=tries, delay=0.5, backoff=3, logger=lines.append)
        def fails():
            calls.append(1)
            raise KeyError("again")

        return outcome(fails), pauses, lines, len(calls)

    assert run(_utils) == run(reference_utils)


@given(st.text(max_size=20).map(lambda text: text + "\udc80"))
def test_names_that_are_no_utf8(name):
    # The reference raises UnicodeEncodeError.
    assert _utils._get_unique_dest_dir_name(name).startswith("assetroot-")
