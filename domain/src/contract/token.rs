//! Which access tokens a context of provider `http_claims` accepts, and which claims hold tenant and principal.
//! Verifying a token is `crate::access_token`.

use super::binding::{ContextProvider, ContextSpec};
use super::object::ObjectReader;
use super::report::ValidationReport;
use super::token_profile;
use crate::access_token::{
    Algorithm, LIFETIME_SECONDS_DEFAULT, LIFETIME_SECONDS_MAX, LIFETIME_SECONDS_MIN, TokenPolicy,
};
use crate::json::JsonNode;
use synapsor_codes::ErrorCode;

const TENANT_CLAIM: &str = "tenant_id";
const PRINCIPAL_CLAIM: &str = "sub";
const READ_SCOPE: &str = "synapsor:read";
const PROPOSE_SCOPE: &str = "synapsor:propose";
/// Files of 0.1.x may name the provider without further settings; they load but cannot be run.
pub(super) const INCOMPLETE: &str = "Add `issuer` and `audience` to `values`: whose access tokens are accepted, and the URL under \
    which clients know this deployment.";
pub(super) const URL_BYTES_MAX: usize = 2_048;
const CLAIM_BYTES_MAX: usize = 256;

/// Token issuer of a context.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenSource {
    pub policy: TokenPolicy,
    /// URL of the issuer's keys; if absent, the operator passes a file to the reader.
    pub jwks_url: Option<String>,
}

impl ContextSpec {
    /// Token policy of this context; `None` for contexts of other providers.
    pub fn tokens(&self) -> Option<&TokenSource> {
        self.token
            .as_ref()
            .filter(|_| self.provider == ContextProvider::HttpClaims)
    }
}

/// `None` if the values name no issuer or no audience; reported when the contract is to be run.
pub(super) fn read(values: &ObjectReader<'_>, report: &mut ValidationReport) -> Option<TokenSource> {
    let url = |key: &str, report: &mut ValidationReport| {
        let text = values.text(key, ErrorCode::InvalidContextValue, report)?;
        if is_https_or_loopback(&text) {
            return Some(text);
        }
        let message = format!(
            "Make `{key}` an absolute https URL without user, query and fragment; plain http is for loopback addresses."
        );
        report.error(values.at(key), ErrorCode::InvalidContextValue, message);
        None
    };
    let (issuer, resource, jwks_url) = (
        url("issuer", report),
        url("resource", report),
        url("jwks_url", report),
    );
    let audience = token_profile::audiences(values, report);
    let algorithms = algorithms(values, report);
    let mut word =
        |key: &str, default: &str, is_fit: fn(char) -> bool| name(values, key, default, is_fit, report);
    let is_printable: fn(char) -> bool = |c| c.is_ascii_graphic();
    let tenant_claim = word("tenant_claim", TENANT_CLAIM, is_printable);
    let principal_claim = word("principal_claim", PRINCIPAL_CLAIM, is_printable);
    let read_scope = word("read_scope", READ_SCOPE, is_scope_char);
    let propose_scope = word("propose_scope", PROPOSE_SCOPE, is_scope_char);
    let lifetime_seconds_max = lifetime(values, report);
    let profile = token_profile::read(values, report);
    Some(TokenSource {
        policy: TokenPolicy {
            issuer: issuer?,
            audience: audience?,
            resource,
            algorithms,
            lifetime_seconds_max,
            tenant_claim,
            principal_claim,
            read_scope,
            propose_scope,
            profile,
        },
        jwks_url,
    })
}

/// Reads the name of a claim or a scope.
pub(super) fn name(
    values: &ObjectReader<'_>,
    key: &str,
    default: &str,
    is_fit: fn(char) -> bool,
    report: &mut ValidationReport,
) -> String {
    let Some(text) = values.text(key, ErrorCode::InvalidContextValue, report) else {
        return default.to_owned();
    };
    if text.len() > CLAIM_BYTES_MAX || !text.chars().all(is_fit) {
        let message =
            format!("Make `{key}` one word of at most {CLAIM_BYTES_MAX} printable ASCII characters.");
        report.error(values.at(key), ErrorCode::InvalidContextValue, message);
    }
    text
}

/// Whether a scope may have this character (RFC 6749, 3.3).
pub(super) fn is_scope_char(c: char) -> bool {
    c.is_ascii_graphic() && c != '"' && c != '\\'
}

fn algorithms(values: &ObjectReader<'_>, report: &mut ValidationReport) -> Vec<Algorithm> {
    let all = || Algorithm::WORDS.iter().map(|(_, algorithm)| *algorithm).collect();
    let Some(node) = values.get("algorithms") else {
        return all();
    };
    let named = match node {
        JsonNode::List(items) => items
            .iter()
            .map(|item| match item {
                JsonNode::Text(text) => Algorithm::of(text),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .filter(|named| !named.is_empty()),
        _ => None,
    };
    named.unwrap_or_else(|| {
        let message = "Make `algorithms` a list of EdDSA, ES256 and RS256, or remove it.";
        report.error(values.at("algorithms"), ErrorCode::InvalidContextValue, message);
        all()
    })
}

fn lifetime(values: &ObjectReader<'_>, report: &mut ValidationReport) -> u32 {
    let (key, older) = ("max_lifetime_seconds", "token_lifetime_seconds");
    if values.has(key) && values.has(older) {
        let message = format!("Remove `{older}`: it is the older name of `{key}`.");
        report.error(values.at(older), ErrorCode::InvalidContextValue, message);
    }
    let key = if values.has(key) { key } else { older };
    let Some(node) = values.get(key) else {
        return LIFETIME_SECONDS_DEFAULT;
    };
    let seconds = match node {
        JsonNode::Number(text) => text.parse().ok(),
        _ => None,
    };
    let accepted = LIFETIME_SECONDS_MIN..=LIFETIME_SECONDS_MAX;
    seconds
        .filter(|seconds| accepted.contains(seconds))
        .unwrap_or_else(|| {
            let message =
                format!("Make `{key}` a whole number from {LIFETIME_SECONDS_MIN} to {LIFETIME_SECONDS_MAX}.");
            report.error(values.at(key), ErrorCode::InvalidContextValue, message);
            LIFETIME_SECONDS_DEFAULT
        })
}

/// An absolute URL without user, query and fragment that cannot be altered in transit.
pub(super) fn is_https_or_loopback(text: &str) -> bool {
    let (is_secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return false,
    };
    let is_plain = text.len() <= URL_BYTES_MAX
        && text
            .chars()
            .all(|c| c.is_ascii_graphic() && !matches!(c, '@' | '?' | '#' | '\\' | '"' | '<' | '>'));
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        Some((_, port)) if !port.ends_with(']') => return false,
        _ => authority,
    };
    let is_loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    is_plain && !host.is_empty() && (is_secure || is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_https_or_loopback_urls() {
        for good in [
            "https://id.example.com",
            "https://id.example.com/realms/acme",
            "https://id.example.com:8443/",
            "http://127.0.0.1:9000/keys",
            "http://localhost",
            "http://[::1]:9000/x",
        ] {
            assert!(is_https_or_loopback(good), "{good}");
        }
        for bad in [
            "http://id.example.com",
            "https://",
            "https:///path",
            "https://user@id.example.com",
            "https://id.example.com/?q=1",
            "https://id.example.com/#f",
            "https://id.example.com:port/",
            "http://127.0.0.1.example.com/",
            "http://localhost@evil.example/",
            "ftp://localhost/",
            "id.example.com",
            "https://a b",
        ] {
            assert!(!is_https_or_loopback(bad), "{bad}");
        }
    }
}
