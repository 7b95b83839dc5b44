//! The release of this process, and how processes state it to each other.
//!
//! Processes of a deployment run the same release: messages and enums are not compatible across releases. A client
//! names its release in the `user-agent` header, and a server refuses another one. A caller that names none, such
//! as a health probe, is not refused for that.

use http::HeaderMap;
use http::header::USER_AGENT;

/// Release of this process.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");
const PRODUCT: &str = "synapsor/";

/// Returns the value of the `user-agent` header of every call.
pub(crate) fn user_agent() -> String {
    format!("{PRODUCT}{RELEASE}")
}

/// Returns the release of a caller if it names one that is not this process's.
pub(crate) fn other_release(headers: &HeaderMap) -> Option<&str> {
    let agent = headers.get(USER_AGENT)?.to_str().ok()?;
    let release = agent.strip_prefix(PRODUCT)?.split(' ').next()?;
    (release != RELEASE).then_some(release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_named_other_release_is_found() {
        let found = |agent: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, agent.parse().unwrap());
            other_release(&headers).map(str::to_owned)
        };
        assert_eq!(found(&format!("{} tonic/0.14.9", user_agent())), None);
        assert_eq!(found("grpc_health_probe/0.4"), None);
        assert_eq!(found("synapsor/0.1.9 tonic/0.14.9"), Some("0.1.9".to_owned()));
        assert_eq!(other_release(&HeaderMap::new()), None);
    }
}
