//! Fetches the token issuer's keys: one GET of the contract's address, to public addresses only. In environment `dev`,
//! loopback addresses count as public, so that an issuer can run beside the reader.

use std::time::Duration;

use synapsor_chassis::files::byte_order;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::access_token::KEY_SET_BYTES_MAX;
use synapsor_domain::error::PublicError;
use synapsor_domain::trust::DeploymentEnvironment;
use synapsor_outbound::{AddressPolicy, Destination, DestinationError, SendError, Timeouts};

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    total: Duration::from_secs(5),
};

/// Fetches one address.
#[derive(Debug)]
pub struct Fetcher(Destination);

impl Fetcher {
    /// # Errors
    /// `TOKEN_KEYS_ORIGIN` for an address that this process must not contact.
    pub(super) fn new(url: &str, environment: DeploymentEnvironment) -> Result<Self, ExitError> {
        let policy = AddressPolicy {
            loopback: environment == DeploymentEnvironment::Dev,
            ranges: Vec::new(),
        };
        let destination = Destination::new(url, policy, TIMEOUTS).map_err(|why| {
            let why = match why {
                DestinationError::Forbidden => "not a public address".to_owned(),
                other => other.to_string(),
            };
            let text = format!("invalid `jwks_url` in the contract: {why}");
            ExitError::new(ErrorCode::TokenKeysOrigin, text)
                .with_fix("set a public https address, or pass the keys with --jwks-file")
        })?;
        Ok(Self(destination))
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
        let answer = self.0.get("application/json", KEY_SET_BYTES_MAX).await;
        let answer = answer.map_err(|error| match error {
            SendError::TooLong => failed(format!("the key set has more than {KEY_SET_BYTES_MAX} bytes")),
            other => failed(other.to_string()),
        })?;
        if answer.status != 200 {
            return Err(failed(format!("the issuer returned {}", answer.status)));
        }
        let mut document = answer.body;
        // Some issuers publish a file that an editor has written.
        byte_order::strip_mark(&mut document).map_err(|_| failed("the key set is not UTF-8".to_owned()))?;
        Ok(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(Fetcher::new("http://198.41.0.4/keys", DeploymentEnvironment::Dev).is_err());
    }

    #[tokio::test]
    async fn rejects_issuer_name_that_resolves_to_loopback() {
        synapsor_chassis::harden::choose_tls_provider();
        let fetcher = Fetcher::new("https://localhost/keys", DeploymentEnvironment::Production).unwrap();
        let refusal = fetcher.fetch().await.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::TokenKeysUnavailable);
        assert_eq!(
            refusal.detail.as_deref(),
            Some("the name resolves to an address that is not permitted")
        );
    }
}
