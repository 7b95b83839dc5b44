//! Fetches the token issuer's keys: one GET of the contract's address, to public addresses only, without
//! redirects, proxies, cookies or credentials, bounded in bytes and seconds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url, redirect};
use synapsor_chassis::files::byte_order;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::access_token::KEY_SET_BYTES_MAX;
use synapsor_domain::error::PublicError;
use synapsor_domain::trust::DeploymentEnvironment;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Fetches one address.
#[derive(Debug)]
pub struct Fetcher {
    client: Client,
    url: Url,
}

impl Fetcher {
    /// In environment `dev`, loopback addresses count as public, so that an issuer can run beside the reader.
    ///
    /// # Errors
    /// `TOKEN_KEYS_ORIGIN` for an address that this process must not contact.
    pub(super) fn new(url: &str, environment: DeploymentEnvironment) -> Result<Self, ExitError> {
        let refuse = |why: &str| {
            let text = format!("invalid `jwks_url` in the contract: {why}");
            ExitError::new(ErrorCode::TokenKeysOrigin, text)
                .with_fix("set a public https address, or pass the keys with --jwks-file")
        };
        let url: Url = url.parse().map_err(|_| refuse("not a URL"))?;
        let reach = AddressPolicy {
            loopback: environment == DeploymentEnvironment::Dev,
        };
        if url.scheme() != "https" && !reach.loopback {
            return Err(refuse("plain http is allowed in environment `dev` only"));
        }
        // Names are checked when they are resolved; an address in the URL is never resolved.
        let host = url.host_str().ok_or_else(|| refuse("no host"))?;
        let literal: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        if literal.is_some_and(|address| !reach.includes(address)) {
            return Err(refuse("not a public address"));
        }
        let client = Client::builder()
            .dns_resolver(Arc::new(reach))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .user_agent(concat!("synapsor-runner/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| refuse("HTTP client not created"))?;
        Ok(Self { client, url })
    }

    /// Fetches the document. The error's detail names only the step that failed.
    pub(super) async fn fetch(&self) -> Result<Vec<u8>, PublicError> {
        let failed = |why: String| {
            PublicError::new(
                ErrorCode::TokenKeysUnavailable,
                "Access tokens cannot be verified now.",
            )
            .with_detail(why)
        };
        let request = self
            .client
            .get(self.url.clone())
            .header("accept", "application/json");
        let mut response = request
            .send()
            .await
            .map_err(|error| failed(step(&error).to_owned()))?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(failed(format!(
                "the issuer returned {}",
                response.status().as_u16()
            )));
        }
        let mut document = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| failed(step(&error).to_owned()))?
        {
            if document.len() + chunk.len() > KEY_SET_BYTES_MAX {
                return Err(failed(format!(
                    "the key set has more than {KEY_SET_BYTES_MAX} bytes"
                )));
            }
            document.extend_from_slice(&chunk);
        }
        // Some issuers publish a file that an editor has written.
        byte_order::strip_mark(&mut document).map_err(|_| failed("the key set is not UTF-8".to_owned()))?;
        Ok(document)
    }
}

fn step(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        "connection failed"
    } else {
        "request failed"
    }
}

/// Addresses that may be contacted.
#[derive(Clone, Copy, Debug)]
struct AddressPolicy {
    loopback: bool,
}

impl AddressPolicy {
    fn includes(self, address: IpAddr) -> bool {
        (self.loopback && address.is_loopback()) || is_public(address)
    }
}

impl Resolve for AddressPolicy {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            // One private address rejects the name: the resolver would choose which of several is dialed.
            let all: Vec<SocketAddr> = found.collect();
            if all.is_empty() || !all.iter().all(|address| reach.includes(address.ip())) {
                return Err("the name does not resolve to public addresses only".into());
            }
            Ok(Box::new(all.into_iter()) as Addrs)
        })
    }
}

/// Globally reachable unicast, by the special-purpose registries of RFC 6890.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        [0 | 10 | 127, ..] | [169, 254, ..] | [192, 168, ..] => true,
        [100, second, ..] => (64..128).contains(&second),
        [172, second, ..] => (16..32).contains(&second),
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        [198, second, ..] => matches!(second, 18 | 19),
        [first, ..] => first >= 224,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Tunnels and translations hide another address; documentation and benchmark ranges are not routed.
        [0x2001, second, ..] if second < 0x0200 || second == 0x0db8 => false,
        [0x2002, ..] | [0x3fff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_fetched() {
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "127.0.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::a9fe:a9fe",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert!(!is_public(address), "{address}");
            assert_eq!(
                AddressPolicy { loopback: true }.includes(address),
                address.is_loopback(),
                "{address}"
            );
        }
        for address in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "2001:4860::8888",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn rejects_forbidden_issuer_addresses_before_sending() {
        synapsor_chassis::harden::choose_tls_provider();
        for url in [
            "http://id.example.com/keys",
            "https://169.254.169.254/latest/meta-data",
            "https://2130706433/keys",
            "https://0x7f.1/keys",
            "https://[::1]/keys",
            "https://[::ffff:10.0.0.1]/keys",
            "https://127.0.0.1/keys",
        ] {
            let error = Fetcher::new(url, DeploymentEnvironment::Production).unwrap_err();
            assert_eq!(error.code(), ErrorCode::TokenKeysOrigin, "{url}");
        }
        assert!(Fetcher::new("https://id.example.com/keys", DeploymentEnvironment::Production).is_ok());
        assert!(Fetcher::new("http://127.0.0.1:9/keys", DeploymentEnvironment::Dev).is_ok());
        assert!(Fetcher::new("http://10.0.0.1/keys", DeploymentEnvironment::Dev).is_err());
    }

    #[tokio::test]
    async fn rejects_issuer_name_that_resolves_to_loopback() {
        synapsor_chassis::harden::choose_tls_provider();
        let fetcher = Fetcher::new("https://localhost/keys", DeploymentEnvironment::Production).unwrap();
        let refusal = fetcher.fetch().await.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::TokenKeysUnavailable);
        assert_eq!(refusal.detail.as_deref(), Some("connection failed"));
    }
}
