//! Which requests go through a proxy, as Python's `urllib` and botocore decide it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::error::{ConfigurationError, Result};
use crate::store::s3::environment::Environment;

/// Where credentials of an instance or a container are: addresses of this host alone, which no proxy can reach.
const HOST_ADDRESSES: [&str; 5] =
    ["169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"];
/// Variables that name further such addresses.
const HOST_VARIABLES: [&str; 2] = ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_EC2_METADATA_SERVICE_ENDPOINT"];

/// What may stay as it is in a user's name or password.
const USER: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The proxies, and the hosts that are reached without one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::store::s3) struct Proxies {
    by_scheme: BTreeMap<String, String>,
    no_proxy: Option<String>,
    /// `host:port` of the host's own credentials.
    own: Vec<String>,
}

impl Proxies {
    /// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`. Names in lower case win, and an empty one of those takes the other back.
    /// `ALL_PROXY` is not among them: botocore does not read it.
    pub(in crate::store::s3) fn from_environment(environment: &Environment) -> Self {
        let mut found = BTreeMap::new();
        let ending = |name: &str| name.len().checked_sub("_proxy".len()).filter(|_| name.ends_with("_proxy"));
        for (name, value) in environment.texts().filter(|(_, value)| !value.is_empty()) {
            let name = name.to_lowercase();
            if let Some(end) = ending(&name) {
                found.insert(name[..end].to_owned(), value.to_owned());
            }
        }
        if environment.raw("REQUEST_METHOD").is_some() {
            // A web server hands the header `Proxy:` of its client to a CGI program as HTTP_PROXY.
            found.remove("http");
        }
        for (name, value) in environment.texts() {
            let Some(end) = ending(name) else { continue };
            let scheme = name[..end].to_lowercase();
            if value.is_empty() {
                found.remove(&scheme);
            } else {
                found.insert(scheme, value.to_owned());
            }
        }
        let no_proxy = found.remove("no");
        found.retain(|scheme, _| scheme == "http" || scheme == "https");
        Self { by_scheme: found, no_proxy, own: own_hosts(environment) }
    }

    /// Those that a caller names; `NO_PROXY` says nothing about them.
    pub(in crate::store::s3) fn given(proxies: &BTreeMap<String, String>, environment: &Environment) -> Self {
        let by_scheme =
            proxies.iter().filter(|(_, url)| !url.is_empty()).map(|(scheme, url)| (scheme.clone(), url.clone()));
        Self { by_scheme: by_scheme.collect(), no_proxy: None, own: own_hosts(environment) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_scheme.is_empty()
    }

    /// The proxy for a request.
    ///
    /// # Errors
    /// Where it is none that can be used.
    pub(super) fn proxy_for(&self, uri: &http::Uri) -> Result<Option<String>> {
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else { return Ok(None) };
        let Some(url) = self.by_scheme.get(scheme) else { return Ok(None) };
        let authority = uri.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        if self.is_own(host, &authority) || self.no_proxy.as_deref().is_some_and(|rules| bypasses(rules, &authority)) {
            return Ok(None);
        }
        usable(url, scheme).map(Some)
    }

    fn is_own(&self, host: &str, authority: &str) -> bool {
        HOST_ADDRESSES.contains(&unbracketed(host)) || self.own.iter().any(|own| own == authority)
    }
}

fn own_hosts(environment: &Environment) -> Vec<String> {
    let uris = HOST_VARIABLES.iter().filter_map(|name| environment.raw(name)?.to_str()?.parse::<http::Uri>().ok());
    uris.filter_map(|uri| Some(uri.authority()?.as_str().to_owned())).collect()
}

/// Whether a value of `NO_PROXY` names `host` or `host:port`. Ranges of addresses and addresses in another spelling are
/// more than Python reads.
fn bypasses(rules: &str, authority: &str) -> bool {
    if rules == "*" {
        return true;
    }
    let authority = authority.to_lowercase();
    let ends_in_port = |(_, port): &(&str, &str)| port.chars().all(|character| character.is_ascii_digit());
    let host = authority.rsplit_once(':').filter(ends_in_port).map_or(authority.as_str(), |(host, _)| host);
    let address = unbracketed(host).parse::<IpAddr>().ok();
    rules.split(',').map(str::trim).filter(|rule| !rule.is_empty()).any(|rule| {
        if let Some(address) = address {
            let of_rule = unbracketed(rule).parse::<IpAddr>().ok();
            if of_rule == Some(address) || rule.parse::<IpNet>().is_ok_and(|range| range.contains(&address)) {
                return true;
            }
        }
        let name = rule.trim_start_matches('.').to_lowercase();
        let below = format!(".{name}");
        [host, &authority].iter().any(|host| *host == name || host.ends_with(&below))
    })
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// A proxy's URL in the form that the client takes: with a scheme, and with user and password in escapes.
fn usable(url: &str, scheme: &str) -> Result<String> {
    let (kind, rest) = url.split_once("://").unwrap_or_else(|| ("http", url.trim_start_matches('/')));
    let kind = kind.to_lowercase();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let place = format!("the proxy for {scheme} ({kind}://{host})");
    if kind != "http" && kind != "https" {
        return Err(ConfigurationError::new(place, "only proxies of http:// and https:// can be used").into());
    }
    let escaped = |text: &str| utf8_percent_encode(&percent_decode_str(text).decode_utf8_lossy(), USER).to_string();
    // botocore sends user and password where both are there.
    let login =
        user.and_then(|user| user.split_once(':')).filter(|(user, password)| !user.is_empty() && !password.is_empty());
    let login = login.map(|(user, password)| format!("{}:{}@", escaped(user), escaped(password))).unwrap_or_default();
    let url = format!("{kind}://{login}{host}");
    let parsed = url.parse::<http::Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    parsed.map(|_| url).ok_or_else(|| ConfigurationError::new(place, "it is no URL such as http://host:port").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Row {
        environment: BTreeMap<String, String>,
        url: String,
        proxy: Option<String>,
        login: Option<String>,
    }

    /// The same table is held against botocore's own decisions by `tests_py/parity/test_configuration_parity.py`.
    #[test]
    fn the_table_of_proxies() {
        let rows: Vec<Row> = serde_json::from_str(include_str!("../../../../tests_rs/data/proxies.json")).unwrap();
        assert!(rows.len() > 40);
        for row in rows {
            let environment: Environment = row.environment.clone().into_iter().collect();
            let found = Proxies::from_environment(&environment).proxy_for(&row.url.parse().unwrap()).unwrap();
            let (plain, login) = match found.as_deref().and_then(|url| url.split_once('@')) {
                Some((login, host)) => {
                    let (scheme, login) = login.split_once("://").unwrap();
                    let login = percent_decode_str(login).decode_utf8().unwrap().into_owned();
                    (Some(format!("{scheme}://{host}")), Some(login))
                }
                None => (found.clone(), None),
            };
            assert_eq!((plain, login), (row.proxy, row.login), "{:?} {}", row.environment, row.url);
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_named_without_its_password() {
        for url in ["socks5://user:secret@proxy:1080", "http://user:secret@", "http://user:secret@pro xy"] {
            let environment: Environment = [("HTTPS_PROXY", url)].into_iter().collect();
            let error =
                Proxies::from_environment(&environment).proxy_for(&"https://minio/".parse().unwrap()).unwrap_err();
            assert!(error.to_string().contains("proxy for https") && !error.to_string().contains("secret"), "{error}");
        }
    }
}
