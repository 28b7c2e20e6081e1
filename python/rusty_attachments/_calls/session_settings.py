"""What a boto3 session has been told about S3, where a client that it makes would look.

boto3 is no dependency of this package. Making a client to ask it would cost some tenths of a second, so its
configuration is read where botocore's client reads it: client configuration of the session, environment, profile.
"""

from __future__ import annotations

import os
from typing import Any, Optional, TypedDict

_SERVICES = ("s3", "sts")


class StoreSettings(TypedDict):
    """How S3 is reached; see `S3Settings` in the native module's sources."""

    region: Optional[str]
    endpoint_url: Optional[str]
    sts_endpoint_url: Optional[str]
    addressing_style: Optional[str]
    use_dualstack: bool
    use_fips: bool
    use_accelerate: bool
    checksums_when_required: bool
    ca_bundle: Optional[tuple[str, str]]
    proxies: Optional[dict[str, str]]


def settings_of(session: Any) -> Optional[StoreSettings]:
    """Reads a session's configuration.

    Args:
        session: A boto3 session, or something that can stand for one.

    Returns:
        Its settings; `None` where the object has no configuration of botocore, so that environment and profiles hold.

    Raises:
        botocore.exceptions.BotoCoreError: As when botocore makes a client: no such profile, a file that is wrong.
        NotImplementedError: The session turns certificate checks off or has a client certificate.
    """
    if session is None:
        return None
    ready = getattr(session, "store_settings", None)
    if ready is not None:
        settings: StoreSettings = ready()
        return settings
    botocore_session = getattr(session, "_session", session)
    if not callable(getattr(botocore_session, "get_config_variable", None)):
        return None
    return _Reader(botocore_session).read(getattr(session, "region_name", None))


def settings_of_client(client: Any) -> StoreSettings:
    """Reads what a client of S3 has been made with.

    Args:
        client: A client of boto3.

    Raises:
        NotImplementedError: The client checks no certificates or has one of its own.
    """
    config = client.meta.config
    block = config.s3 or {}
    # botocore has no public place for these.
    http = getattr(getattr(client, "_endpoint", None), "http_session", None)
    verify = getattr(http, "_verify", True)
    refuse_unsupported(verify, config.client_cert)
    builtins = getattr(getattr(client, "_ruleset_resolver", None), "_builtins", {})
    endpoint = str(client.meta.endpoint_url)
    at_aws = "amazonaws.com" in endpoint
    given = builtins.get("SDK::Endpoint", None if at_aws else endpoint)
    return {
        "region": _text(client.meta.region_name),
        "endpoint_url": _text(given),
        "sts_endpoint_url": None,
        "addressing_style": _text(block.get("addressing_style")),
        "use_dualstack": is_true(config.use_dualstack_endpoint),
        "use_fips": is_true(config.use_fips_endpoint),
        "use_accelerate": is_true(block.get("use_accelerate_endpoint")),
        "checksums_when_required": str(config.request_checksum_calculation).lower() == "when_required",
        "ca_bundle": ca_bundle(verify),
        # The client has decided about NO_PROXY already.
        "proxies": dict(getattr(getattr(http, "_proxy_config", None), "_proxies", None) or {}),
    }


class _Reader:
    """Looks up what botocore's `create_client` looks up, in its order."""

    def __init__(self, session: Any) -> None:
        self._session = session
        # The configuration that a session gives to all of its clients.
        self._config = session.get_default_client_config()

    def read(self, region: Any) -> StoreSettings:
        """All settings."""
        from_config = getattr(self._config, "region_name", None)
        block = self._block()
        client_certificate = getattr(self._config, "client_cert", None)
        refuse_unsupported(self._session.get_config_variable("ca_bundle"), client_certificate)
        urls = {service: self._endpoint(service) for service in _SERVICES}
        dualstack = block.get("use_dualstack_endpoint")
        return {
            "region": _text(from_config) or _text(region),
            "endpoint_url": urls["s3"],
            "sts_endpoint_url": urls["sts"],
            "addressing_style": _text(block.get("addressing_style")),
            "use_dualstack": is_true(
                self._variable("use_dualstack_endpoint") if dualstack is None else dualstack
            ),
            "use_fips": is_true(self._variable("use_fips_endpoint")),
            "use_accelerate": is_true(block.get("use_accelerate_endpoint")),
            "checksums_when_required": (
                str(self._variable("request_checksum_calculation")).lower() == "when_required"
            ),
            "ca_bundle": ca_bundle(self._session.get_config_variable("ca_bundle")),
            "proxies": getattr(self._config, "proxies", None),
        }

    def _variable(self, name: str) -> Any:
        from_config = getattr(self._config, name, None)
        return self._session.get_config_variable(name) if from_config is None else from_config

    def _block(self) -> dict[str, Any]:
        block = dict(self._session.get_config_variable("s3") or {})
        block.update(getattr(self._config, "s3", None) or {})
        return block

    def _endpoint(self, service: str) -> Optional[str]:
        if is_true(self._variable("ignore_configured_endpoint_urls")):
            return None
        for name in (f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL"):
            if os.environ.get(name):
                return os.environ[name]
        profile = self._session.get_scoped_config()
        services = self._session.full_config.get("services", {}).get(profile.get("services"), {})
        own = services.get(service)
        url = own.get("endpoint_url") if isinstance(own, dict) else None
        return _text(url) or _text(profile.get("endpoint_url"))


def ca_bundle(verify: Any) -> Optional[tuple[str, str]]:
    """The file with the certificates that a session trusts, and what names it."""
    if isinstance(verify, (str, os.PathLike)) and str(verify):
        return os.fspath(verify), "the boto3 session"
    bundle = os.environ.get("REQUESTS_CA_BUNDLE")
    if verify is None and bundle:
        return bundle, "the environment variable REQUESTS_CA_BUNDLE"
    return None


def refuse_unsupported(verify: Any, client_certificate: Any) -> None:
    """Refuses what would be a connection of another kind than the session was told to make."""
    if verify is False:
        raise NotImplementedError(
            "The boto3 session turns certificate checks off (verify=False), which is not supported. Name the server's "
            "certificate in AWS_CA_BUNDLE or in ca_bundle of the profile instead."
        )
    if client_certificate is not None:
        raise NotImplementedError(
            "The boto3 session has a client certificate (client_cert), which is not supported."
        )


def is_true(value: Any) -> bool:
    """Botocore takes only `true`, in any case, for a yes."""
    return value if isinstance(value, bool) else str(value).lower() == "true"


def _text(value: Any) -> Optional[str]:
    return value if isinstance(value, str) and value else None
