//! One URL to which requests are sent, checked before the first request and at each connection.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, RequestBuilder, Url, redirect};

use crate::address::AddressPolicy;

/// Time limits of a request.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    pub connect: Duration,
    /// From the start to the last byte of the answer.
    pub total: Duration,
}

/// Reason why requests are not sent to a URL. It never repeats the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    #[error("not an http or https URL")]
    NotUrl,
    #[error("it contains a user name or password")]
    Credentials,
    #[error("plain http is allowed to loopback addresses in environment `dev` only")]
    NotTls,
    #[error("not a permitted address")]
    Forbidden,
    #[error("HTTP client not created")]
    Client,
}

/// Step at which a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("timed out")]
    TimedOut,
    #[error("the name resolves to an address that is not permitted")]
    Forbidden,
    #[error("connection failed")]
    Connect,
    #[error("request failed")]
    Request,
    #[error("the answer is too long")]
    TooLong,
}

/// Status and body of an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// URL with a client for it. Clones share connections.
#[derive(Clone)]
pub struct Destination {
    client: Client,
    url: Url,
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Destination")
    }
}

impl Destination {
    /// Checks the URL. A name is checked when it is resolved, at each connection.
    ///
    /// # Errors
    /// A URL that must not be contacted under this policy.
    pub fn new(url: &str, policy: AddressPolicy, timeouts: Timeouts) -> Result<Self, DestinationError> {
        let url: Url = url.parse().map_err(|_| DestinationError::NotUrl)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(DestinationError::Credentials);
        }
        let host = url.host_str().ok_or(DestinationError::NotUrl)?;
        // An address in the URL is never resolved.
        let literal: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let policy = match url.scheme() {
            "https" => ConnectPolicy::Permitted(policy),
            "http" if policy.loopback => ConnectPolicy::Loopback,
            "http" => return Err(DestinationError::NotTls),
            _ => return Err(DestinationError::NotUrl),
        };
        if let Some(address) = literal
            && !policy.includes(address)
        {
            return Err(match policy {
                ConnectPolicy::Loopback => DestinationError::NotTls,
                ConnectPolicy::Permitted(_) => DestinationError::Forbidden,
            });
        }
        let client = Client::builder()
            .dns_resolver(Arc::new(policy))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.total)
            .user_agent(concat!("synapsor-runner/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| DestinationError::Client)?;
        Ok(Self { client, url })
    }

    /// Returns `host:port`, without the parts of the URL that may be secret.
    pub fn host_and_port(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{host}:{port}")
    }

    /// Gets the document, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// The step that failed. A status other than 200 is no error.
    pub async fn get(&self, accept: &str, bytes_max: usize) -> Result<Answer, SendError> {
        let request = self.client.get(self.url.clone()).header("accept", accept);
        let mut response = send(request).await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| step(&error))? {
            if body.len() + chunk.len() > bytes_max {
                return Err(SendError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status().as_u16(),
            body,
        })
    }

    /// Posts a body and returns the status. At most `bytes_max` bytes of the answer are read, and none is kept.
    ///
    /// # Errors
    /// The step that failed before the status.
    pub async fn post(
        &self,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
        bytes_max: usize,
    ) -> Result<u16, SendError> {
        let mut request = self.client.post(self.url.clone()).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut response = send(request).await?;
        let status = response.status().as_u16();
        // Reading the rest lets the connection be used again; a failure changes nothing.
        let mut read = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            if read > bytes_max {
                break;
            }
        }
        Ok(status)
    }
}

async fn send(request: RequestBuilder) -> Result<reqwest::Response, SendError> {
    request.send().await.map_err(|error| step(&error))
}

fn step(error: &reqwest::Error) -> SendError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if inner.is::<ForbiddenName>() {
            return SendError::Forbidden;
        }
        cause = inner.source();
    }
    if error.is_timeout() {
        SendError::TimedOut
    } else if error.is_connect() {
        SendError::Connect
    } else {
        SendError::Request
    }
}

/// Addresses to which this destination may connect.
#[derive(Clone, Debug)]
enum ConnectPolicy {
    Permitted(AddressPolicy),
    /// Without TLS.
    Loopback,
}

impl ConnectPolicy {
    fn includes(&self, address: IpAddr) -> bool {
        match self {
            Self::Permitted(policy) => policy.includes(address),
            Self::Loopback => address.is_loopback(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the name does not resolve to permitted addresses only")]
struct ForbiddenName;

impl Resolve for ConnectPolicy {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            // One forbidden address rejects the name: the connector would choose which of several is dialed.
            let all: Vec<SocketAddr> = found.collect();
            if all.is_empty() || !all.iter().all(|address| policy.includes(address.ip())) {
                return Err(ForbiddenName.into());
            }
            Ok(Box::new(all.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const SOON: Timeouts = Timeouts {
        connect: Duration::from_secs(3),
        total: Duration::from_secs(5),
    };

    fn dev() -> AddressPolicy {
        AddressPolicy {
            loopback: true,
            ranges: Vec::new(),
        }
    }

    fn private() -> AddressPolicy {
        AddressPolicy {
            loopback: false,
            ranges: vec!["10.0.0.0/8".parse().unwrap()],
        }
    }

    #[test]
    fn urls_are_checked_before_a_request() {
        synapsor_chassis::harden::choose_tls_provider();
        use DestinationError::{Credentials, Forbidden, NotTls, NotUrl};
        let public = AddressPolicy::public;
        for (url, policy, expected) in [
            ("http://example.com/x", public(), Some(NotTls)),
            ("http://10.0.0.1/x", private(), Some(NotTls)),
            ("http://10.0.0.1/x", dev(), Some(NotTls)),
            ("http://8.8.8.8/x", dev(), Some(NotTls)),
            ("ftp://example.com/x", public(), Some(NotUrl)),
            ("file:///etc/passwd", dev(), Some(NotUrl)),
            ("https://", public(), Some(NotUrl)),
            ("example.com", public(), Some(NotUrl)),
            ("https://user@example.com/", public(), Some(Credentials)),
            ("https://:secret@example.com/", public(), Some(Credentials)),
            ("https://169.254.169.254/latest", private(), Some(Forbidden)),
            ("https://2852039166/latest", private(), Some(Forbidden)),
            ("https://0x7f.1/", public(), Some(Forbidden)),
            ("https://0177.0.0.1/", public(), Some(Forbidden)),
            ("https://[::1]/", public(), Some(Forbidden)),
            ("https://[::ffff:10.0.0.1]/", public(), Some(Forbidden)),
            ("https://127.0.0.1/", private(), Some(Forbidden)),
            ("https://10.0.0.1/", dev(), Some(Forbidden)),
            ("https://0/", dev(), Some(Forbidden)),
            ("https://example.com/", public(), None),
            ("https://10.0.0.1/", private(), None),
            ("https://127.0.0.1:9/", dev(), None),
            ("http://127.0.0.1:9/", dev(), None),
            ("http://localhost:9/", dev(), None),
        ] {
            let made = Destination::new(url, policy, SOON);
            assert_eq!(made.err(), expected, "{url}");
        }
        let shown = Destination::new("https://example.com/canary?canary", public(), SOON).unwrap();
        assert_eq!(shown.host_and_port(), "example.com:443");
        assert!(!format!("{shown:?}").contains("canary"));
    }

    #[tokio::test]
    async fn rejects_name_that_resolves_to_a_forbidden_address() {
        synapsor_chassis::harden::choose_tls_provider();
        let destination = Destination::new("https://localhost/x", private(), SOON).unwrap();
        assert_eq!(
            destination.get("*/*", 10).await.unwrap_err(),
            SendError::Forbidden
        );
    }

    #[tokio::test]
    async fn redirects_are_not_followed_and_long_answers_end() {
        synapsor_chassis::harden::choose_tls_provider();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let mut requests = 0;
            while let Ok((mut stream, _)) = listener.accept().await {
                requests += 1;
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                let answer = format!(
                    "HTTP/1.1 302 Found\r\nlocation: http://{address}/again\r\ncontent-length: 100\r\n\r\n{}",
                    "x".repeat(100)
                );
                let _ = stream.write_all(answer.as_bytes()).await;
                if requests == 2 {
                    return requests;
                }
            }
            requests
        });
        let destination = Destination::new(&format!("http://{address}/x"), dev(), SOON).unwrap();
        assert_eq!(destination.post(&[], b"{}".to_vec(), 10).await.unwrap(), 302);
        assert_eq!(destination.get("*/*", 10).await.unwrap_err(), SendError::TooLong);
        assert_eq!(serving.await.unwrap(), 2);
    }
}
