"""The safeguards of configurations: what is read, trusted and sent."""

from __future__ import annotations

from mutant import Edit, Mutant

SETTINGS = "src/store/s3/settings/mod.rs"
HTTP = "src/store/s3/http/mod.rs"
PROXIES = "src/store/s3/http/proxies.rs"
SELF_SIGNED = "src/store/s3/http/self_signed.rs"
IDENTITY = "src/store/s3/identity.rs"

MUTANTS = (
    Mutant(
        "path style at an endpoint of one's own",
        (
            Edit(
                SETTINGS,
                '(false, Some(_)) => style != Some("virtual")',
                '(false, Some(_)) => style == Some("path")',
            ),
        ),
        "F32",
        "endpoint of a",
    ),
    Mutant(
        "a profile that is not there is an error",
        (
            Edit(
                SETTINGS,
                "None => return Err(profiles.missing(&name).into()),",
                "None => Section::new(),",
            ),
        ),
        "F32",
        "no such profile",
    ),
    Mutant(
        "the SDK reads no retry modes",
        (
            Edit(
                "src/store/s3/config.rs",
                "        .retry_config(RetryConfig::standard())\n        .use_fips",
                "        .use_fips",
            ),
        ),
        "F32",
        "retry modes of boto3",
    ),
    Mutant(
        "credentials of the host go through no proxy",
        (Edit(PROXIES, "self.is_own(host, &authority) || ", ""),),
        "F32",
        "credentials of a container",
    ),
    Mutant(
        "ranges of addresses in NO_PROXY",
        (Edit(PROXIES, " || rule.parse::<IpNet>().is_ok_and(|range| range.contains(&address))", ""),),
        "F32",
        "NO_PROXY with a range",
    ),
    Mutant(
        "a certificate that is refused is final and explained",
        (
            Edit(
                HTTP,
                "Some(reason) => ConnectorError::user(",
                "Some(reason) if reason.is_empty() => ConnectorError::user(",
            ),
            Edit(HTTP, "                None => error,", "                _ => error,"),
        ),
        "F32",
        "a certificate that nobody trusts",
    ),
    Mutant(
        "of servers that sign themselves, only the bundle's own",
        (Edit(SELF_SIGNED, "&& self.servers.iter().any(|server| server == end_entity)", ""),),
        "F32",
        "a certificate beside the one",
    ),
    Mutant(
        "the name in a certificate that is its own bundle",
        (
            Edit(
                SELF_SIGNED,
                "rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;",
                "",
            ),
        ),
        "F32",
        "a certificate of another host",
    ),
    Mutant(
        "credentials that no header can hold are an error",
        (Edit(IDENTITY, "        sendable(credentials, &self.place())", "        Ok(credentials)"),),
        "F32",
        "a line end in the access key",
    ),
)
