"""Configurations as boto3 reads them: the same request comes of the same environment and files on both sides.

Without a network: the server stands for an S3 endpoint, and as a proxy for all others, so that hosts with any name
and AWS's own are seen and never asked.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from unittest import mock

import boto3
import pytest
import xxhash
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.httpsession import ProxyConfiguration
from botocore.session import get_session
from botocore.utils import get_environ_proxies
from deadline.job_attachments._aws.aws_clients import get_s3_client
from recorder import Recorder, Seen
from rig.server import REPOSITORY
from rusty_attachments._calls.session_settings import settings_of_client
from rusty_attachments.asset_manifests.decode import decode_manifest
from rusty_attachments.download import download_files_from_manifests
from rusty_attachments.exceptions import AssetSyncError

BODY = b"data"
HASH = xxhash.xxh3_128_hexdigest(BODY)
MANIFEST = json.dumps(
    {
        "hashAlg": "xxh128",
        "manifestVersion": "2023-03-03",
        "paths": [{"hash": HASH, "mtime": 1_700_000_000_000_000, "path": "a.exr", "size": len(BODY)}],
        "totalSize": len(BODY),
    },
    separators=(",", ":"),
)
KEYS = "aws_access_key_id = k\naws_secret_access_key = s\naws_account_id = 123456789012\n"
#: A host that no resolver is asked about: requests go to it through the proxy.
HOST = "http://minio.studio.example:9000"


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    recorder = Recorder(BODY)
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, recorder.url)
    monkeypatch.setenv("RUSTY_ATTACHMENTS_RETRY_SECONDS", "0.2")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    yield recorder
    recorder.close()


class Files:
    """The folder with both files, and the environment of a case."""

    def __init__(self, folder, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch = folder, monkeypatch

    def write(self, config: str | bytes, credentials: str = "", **variables: str) -> None:
        raw = config if isinstance(config, bytes) else config.encode()
        (self._folder / "config").write_bytes(raw)
        (self._folder / "credentials").write_text(credentials, encoding="utf-8")
        files = {
            "AWS_CONFIG_FILE": str(self._folder / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self._folder / "credentials"),
        }
        for name, value in {**files, **variables}.items():
            self._monkeypatch.setenv(name, value)


@pytest.fixture
def files(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Files:
    return Files(tmp_path, monkeypatch)


def of_ours(recorder: Recorder, target, session=None) -> Seen | None:
    """What our first request says. Through a tunnel it fails, which is nothing that counts here."""
    recorder.seen.clear()
    try:
        download_files_from_manifests(
            s3_bucket="bucket",
            manifests_by_root={str(target): decode_manifest(MANIFEST)},
            cas_prefix="root/Data",
            session=session,
        )
    except AssetSyncError as error:
        if not recorder.seen:
            raise error
    return recorder.first_of_s3()


def of_boto3(recorder: Recorder, session=None) -> Seen | None:
    """What the first request of the reference's client says."""
    recorder.seen.clear()
    client = get_s3_client(session or boto3.Session())
    try:
        client.get_object(Bucket="bucket", Key=f"root/Data/{HASH}.xxh128")
    except BotoCoreError as error:
        if not recorder.seen:
            raise error
    return recorder.first_of_s3()


@pytest.fixture(autouse=True)
def one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore need not try again where a tunnel is refused."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)


def profile(name: str, options: str = "") -> str:
    return f"[{name}]\nregion = eu-west-3\n{KEYS}{options}"


SERVICES = f"services = lab\n[services lab]\ns3 =\n  endpoint_url = {HOST}\n"

#: Name: configuration file, credentials file, variables.
CONFIGURATIONS: dict[str, tuple[str | bytes, str, dict[str, str]]] = {
    "AWS": (profile("default"), "", {}),
    "an endpoint": (profile("default", f"endpoint_url = {HOST}\n"), "", {}),
    "an endpoint with a path": (profile("default", f"endpoint_url = {HOST}/store\n"), "", {}),
    "an endpoint of the services": (profile("default", SERVICES), "", {}),
    "the services' endpoint comes first": (
        profile("default", f"endpoint_url = http://other.example\n{SERVICES}"),
        "",
        {},
    ),
    "a variable comes first": (
        profile("default", "endpoint_url = http://other.example\n"),
        "",
        {"AWS_ENDPOINT_URL": HOST},
    ),
    "the service's variable comes first": (
        profile("default"),
        "",
        {"AWS_ENDPOINT_URL": "http://other.example", "AWS_ENDPOINT_URL_S3": HOST},
    ),
    "an empty variable is none": (
        profile("default", f"endpoint_url = {HOST}\n"),
        "",
        {"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": ""},
    ),
    "empty variables and AWS": (profile("default"), "", {"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": ""}),
    "endpoints ignored by the profile": (
        profile("default", f"endpoint_url = {HOST}\nignore_configured_endpoint_urls = true\n"),
        "",
        {},
    ),
    "endpoints ignored by a variable": (
        profile("default", f"endpoint_url = {HOST}\n"),
        "",
        {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "True"},
    ),
    "virtual at an endpoint": (
        profile("default", f"endpoint_url = {HOST}\ns3 =\n  addressing_style = virtual\n"),
        "",
        {},
    ),
    "auto at an endpoint": (
        profile("default", f"endpoint_url = {HOST}\ns3 =\n  addressing_style = auto\n"),
        "",
        {},
    ),
    "path at AWS": (profile("default", "s3 =\n    addressing_style = path\n"), "", {}),
    "virtual at AWS": (profile("default", "s3 =\n\taddressing_style = virtual\n"), "", {}),
    "dual stack": (profile("default", "use_dualstack_endpoint = true\n"), "", {}),
    "dual stack of s3": (profile("default", "s3 =\n  use_dualstack_endpoint = true\n"), "", {}),
    "dual stack by a variable": (profile("default"), "", {"AWS_USE_DUALSTACK_ENDPOINT": "true"}),
    "dual stack at an endpoint": (
        profile("default", f"endpoint_url = {HOST}\nuse_dualstack_endpoint = true\n"),
        "",
        {},
    ),
    "FIPS": (profile("default", "use_fips_endpoint = true\n").replace("eu-west-3", "us-west-2"), "", {}),
    "FIPS at an endpoint": (profile("default", f"endpoint_url = {HOST}\nuse_fips_endpoint = true\n"), "", {}),
    "acceleration": (profile("default", "s3 =\n  use_accelerate_endpoint = true\n"), "", {}),
    "AWS_PROFILE": (profile("profile lab"), "", {"AWS_PROFILE": "lab"}),
    "AWS_DEFAULT_PROFILE comes first": (
        profile("profile lab") + "[profile other]\n",
        "",
        {"AWS_PROFILE": "other", "AWS_DEFAULT_PROFILE": "lab"},
    ),
    "single quotes": (profile("profile 'lab'"), "", {"AWS_PROFILE": "lab"}),
    "double quotes, blanks": (profile('profile "My Show"'), "", {"AWS_PROFILE": "My Show"}),
    "an escaped blank": (profile("profile My\\ Show"), "", {"AWS_PROFILE": "My Show"}),
    "umlauts": (profile("profile müller"), "", {"AWS_PROFILE": "müller"}),
    "strange names": (profile("profile a+b.c@d:e/f%g"), "", {"AWS_PROFILE": "a+b.c@d:e/f%g"}),
    "tabs in a section's name": (profile("profile\tlab"), "", {"AWS_PROFILE": "lab"}),
    "[profile default]": (profile("profile default"), "", {}),
    "the later of two defaults": (
        "[default]\nregion = us-west-1\n" + profile("profile default"),
        "",
        {},
    ),
    "indented": (profile("default").replace("\n", "\n  "), "", {}),
    "colons": (profile("default").replace(" = ", ": "), "", {}),
    "no blanks": (profile("default").replace(" = ", "="), "", {}),
    "upper case": (profile("default").replace("region", "REGION").replace("aws_", "AWS_"), "", {}),
    "CRLF": (profile("default").replace("\n", "\r\n"), "", {}),
    "CR": (profile("default").replace("\n", "\r"), "", {}),
    "no line end": (profile("default").rstrip(), "", {}),
    "comments": (profile("default").replace("\n", "\n# c\n ; d\n"), "", {}),
    "a comment behind a section": (
        profile("profile lab").replace("]", "] # x"),
        "",
        {"AWS_PROFILE": "lab"},
    ),
    "another profile with words behind it": (
        profile("profile lab") + "[profile x] /* s3://y */\nregion = z\n",
        "",
        {"AWS_PROFILE": "lab"},
    ),
    "sections of other tools": (
        "[plugins]\ncli_legacy_plugin_path = /x\n[preview]\na = b\n[tool x y]\nc = d\n" + profile("default"),
        "",
        {},
    ),
    "an unclosed quote elsewhere": (profile("default") + "[profile 'x]\nregion = z\n", "", {}),
    "defaults of all sections": (f"[DEFAULT]\nregion = eu-west-3\n[default]\n{KEYS}", "", {}),
    "keys of the other file": (
        "[default]\nregion = eu-west-3\n",
        f"[default]\n{KEYS.replace('= k', '= fromfile')}",
        {},
    ),
    "keys in both files": (profile("default"), f"[default]\n{KEYS.replace('= k', '= fromfile')}", {}),
    "a region in the other file": (profile("default"), "[default]\nregion = ap-south-1\n", {}),
    "a profile in the other file alone": ("", f"[lab]\nregion = eu-west-3\n{KEYS}", {"AWS_PROFILE": "lab"}),
    "a session token": (profile("default", "aws_session_token = t\n"), "", {}),
    "a token under its old name": (
        profile("default", "aws_security_token = t\naws_session_token = u\n"),
        "",
        {},
    ),
    "an empty token": (
        profile("default"),
        "",
        {"AWS_ACCESS_KEY_ID": "e", "AWS_SECRET_ACCESS_KEY": "f", "AWS_SESSION_TOKEN": ""},
    ),
    "keys of the environment": (
        profile("default"),
        "",
        {"AWS_ACCESS_KEY_ID": "e", "AWS_SECRET_ACCESS_KEY": "f", "AWS_SESSION_TOKEN": "t"},
    ),
    "keys of the environment beside AWS_PROFILE": (
        profile("profile lab"),
        "",
        {"AWS_ACCESS_KEY_ID": "e", "AWS_SECRET_ACCESS_KEY": "f", "AWS_PROFILE": "lab"},
    ),
    "empty keys of the environment": (
        profile("default"),
        "",
        {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
    ),
    "a region of the environment": (profile("default"), "", {"AWS_DEFAULT_REGION": "ap-south-1"}),
    "AWS_REGION beside a profile's": (profile("default"), "", {"AWS_REGION": "ap-south-1"}),
    "no region": (f"[default]\n{KEYS}endpoint_url = {HOST}\n", "", {}),
    "retries as boto3 has them": (
        profile("default", "retry_mode = legacy\nmax_attempts = 2\n"),
        "",
        {"AWS_RETRY_MODE": "legacy", "AWS_MAX_ATTEMPTS": "2"},
    ),
    "a program that prints keys": (
        "[default]\nregion = eu-west-3\ncredential_process = python3 -c \"print('{0}')\"\n".replace(
            "{0}",
            '{\\"Version\\": 1, \\"AccessKeyId\\": \\"p\\", \\"SecretAccessKey\\": \\"q\\", \\"AccountId\\": \\"1\\"}',
        ),
        "",
        {},
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("by", ["environment", "session"])
def test_the_same_request_comes_of_the_same_configuration(name, by, files, recorder, tmp_path):
    config, credentials, variables = CONFIGURATIONS[name]
    files.write(config, credentials, **variables)
    make = boto3.Session if by == "session" else lambda: None
    expected = of_boto3(recorder, make())
    assert expected is not None
    found = of_ours(recorder, tmp_path / "target", make())
    if name == "no region":
        # Without one, botocore signs for `aws-global`, which no store knows.
        assert found is not None
        assert (found.host, found.path, found.region) == (expected.host, expected.path, "us-east-1")
    else:
        assert found == expected


def test_a_session_of_its_own_configuration(files, recorder, tmp_path):
    """What a program has told its session, and nobody else."""
    files.write(profile("default"))
    session = get_session()
    session.set_config_variable("s3", {"addressing_style": "path"})
    session.set_config_variable("region", "ap-south-1")
    session.set_default_client_config(
        Config(s3={"use_dualstack_endpoint": True}, proxies={"https": recorder.url})
    )
    session = boto3.Session(botocore_session=session)
    assert of_ours(recorder, tmp_path, session) == of_boto3(recorder, session)


@pytest.mark.parametrize("what", ["no checks", "a certificate of its own", "a client without checks"])
def test_what_is_not_supported_is_refused(what, files, recorder, tmp_path):
    """Another connection than the one that was asked for would be no help."""
    files.write(profile("default"))
    session = get_session()
    if what == "no checks":
        session.set_config_variable("ca_bundle", False)
    elif what == "a certificate of its own":
        session.set_default_client_config(Config(client_cert="/nowhere"))
    boto = boto3.Session(botocore_session=session)
    if what == "a client without checks":
        client = boto.client("s3", verify=False)
        with pytest.raises(NotImplementedError):
            settings_of_client(client)
    else:
        with pytest.raises(NotImplementedError):
            of_ours(recorder, tmp_path, boto)
    assert recorder.seen == []


def test_a_client_says_how_it_was_made(files, recorder, tmp_path):
    files.write(profile("default", "s3 =\n  addressing_style = path\n"), NO_PROXY="other.example")
    client = boto3.Session().client("s3", endpoint_url=HOST, verify=str(tmp_path / "ca.pem"))
    settings = settings_of_client(client)
    assert settings["endpoint_url"] == HOST
    assert settings["addressing_style"] == "path"
    assert settings["region"] == "eu-west-3"
    assert settings["ca_bundle"] == (str(tmp_path / "ca.pem"), "the boto3 session")
    assert settings["proxies"]["http"] == recorder.url
    assert settings_of_client(boto3.Session().client("s3"))["endpoint_url"] is None


#: Name: configuration file, variables, words that the error must have.
MISTAKES: dict[str, tuple[str | bytes, dict[str, str], list[str]]] = {
    "no such profile": (profile("profile other"), {"AWS_PROFILE": "lightng"}, ["'lightng'", "other"]),
    "a missing source": (
        "[profile lab]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = gone\n",
        {"AWS_PROFILE": "lab"},
        ["'lab'", "'gone'"],
    ),
    "a circle": (
        "[profile lab]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = b\n"
        "[profile b]\nrole_arn = arn:aws:iam::1:role/s\nsource_profile = lab\n",
        {"AWS_PROFILE": "lab"},
        ["lab -> b -> lab"],
    ),
    "half a key": ("[default]\naws_access_key_id = k\n", {}, ["'default'", "aws_secret_access_key"]),
    "half a key in variables": ("", {"AWS_ACCESS_KEY_ID": "k"}, ["AWS_SECRET_ACCESS_KEY"]),
    "nothing": ("[default]\nregion = eu-west-3\n", {}, ["credentials", "'default'"]),
    "a section twice": (profile("default") + profile("default"), {}, ["[default]", "twice"]),
    "an option twice": (profile("default", "region = x\n"), {}, ["region", "twice"]),
    "words": (profile("default", "oops\n"), {}, ["line 6"]),
    "no section": ("region = x\n", {}, ["line 1"]),
    "another encoding": (profile("profile müller").encode("latin-1"), {}, ["line 1", "UTF-8"]),
    "a region that is none": (
        profile("default").replace("eu-west-3", "eu_west"),
        {},
        ["'default'", "eu_west"],
    ),
    "a services section that is not there": (profile("default", "services = x\n"), {}, ["'default'", "'x'"]),
    "an endpoint that is no URL": (profile("default", "endpoint_url = minio:9000\n"), {}, ["minio:9000"]),
    "checksums": (profile("default", "request_checksum_calculation = no\n"), {}, ["when_required"]),
    "a source of credentials": (
        "[default]\nrole_arn = arn:aws:iam::1:role/r\ncredential_source = Ec2Metadata\n",
        {},
        ["'default'", "Ec2Metadata"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(name, files, recorder, tmp_path):
    """boto3 fails as well, so that nobody's program stops over what the reference takes."""
    config, variables, words = MISTAKES[name]
    files.write(config, **variables)
    with pytest.raises((BotoCoreError, ValueError)):
        of_boto3(recorder)
    with pytest.raises(AssetSyncError) as failed:
        of_ours(recorder, tmp_path / "target")
    text = str(failed.value)
    assert all(word in text for word in words), text
    assert "already taken" not in text
    assert "DispatchFailure" not in text
    assert recorder.seen == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ACCESS_KEY_ID", "key\n"),
        ("AWS_ACCESS_KEY_ID", "key\r\n"),
        ("AWS_ACCESS_KEY_ID", " key"),
        ("AWS_ACCESS_KEY_ID", "schlüssel"),
        ("AWS_SECRET_ACCESS_KEY", "secret\n"),
        ("AWS_SESSION_TOKEN", "token\n"),
        ("AWS_ACCOUNT_ID", "123456789012\n"),
        ("AWS_DEFAULT_REGION", "us-west-2\n"),
        ("AWS_DEFAULT_REGION", "münchen"),
        ("AWS_ENDPOINT_URL", f"{HOST}\n"),
        ("AWS_ENDPOINT_URL_S3", f" {HOST}"),
    ],
)
def test_blanks_and_line_ends_are_an_error_in_words(name, value, files, recorder, tmp_path):
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": HOST}
    files.write("", **{**keys, name: value})
    with pytest.raises(AssetSyncError) as failed:
        of_ours(recorder, tmp_path)
    text = str(failed.value)
    assert "environment" in text
    assert not any(word in text for word in ("panic", "unwrap", "secret\n", "token\n"))
    assert recorder.seen == []


def test_the_table_of_proxies_is_botocores(monkeypatch: pytest.MonkeyPatch):
    """`src/store/s3/http/proxies.rs` holds ours against the same table."""
    for row in json.loads((REPOSITORY / "tests_rs" / "data" / "proxies.json").read_text()):
        with mock.patch.dict("os.environ", row["environment"], clear=True):
            decided = ProxyConfiguration(get_environ_proxies(row["url"]))
            proxy = decided.proxy_url_for(row["url"])
            headers = decided.proxy_headers_for(proxy) if proxy else {}
        if row.get("only_ours"):
            assert proxy, row
            continue
        without_login = proxy and proxy.split("://")[0] + "://" + proxy.split("://")[1].rpartition("@")[2]
        assert without_login == row["proxy"], row
        login = row.get("login")
        expected = {"Proxy-Authorization": "Basic " + b64encode(login.encode()).decode()} if login else {}
        assert headers == expected, row
