//! How the tokens of the issuer may differ from RFC 9068, and which audiences they name. Applying the profile is
//! `crate::access_token`.

use super::fields;
use super::object::ObjectReader;
use super::report::ValidationReport;
use super::token::{URL_BYTES_MAX, is_https_or_loopback, is_scope_char, name};
use crate::access_token::{
    AudienceMode, Audiences, HeaderMember, ScopeClaim, TokenProfile, TokenType, value_of,
};
use crate::json::JsonNode;
use synapsor_codes::ErrorCode;

const CODE: ErrorCode = ErrorCode::InvalidContextValue;
const AUDIENCES_MAX: usize = 16;

/// Reads `audience`: one value, or a list of values. A value that is not a URL is a constant of the issuer.
pub(super) fn audiences(values: &ObjectReader<'_>, report: &mut ValidationReport) -> Option<Audiences> {
    let key = "audience";
    let listed = match values.get(key)? {
        JsonNode::List(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut audiences: Vec<String> = Vec::with_capacity(listed.len());
    for node in listed {
        match node {
            JsonNode::Text(text) if is_audience(text) && !audiences.contains(text) => {
                audiences.push(text.clone());
            }
            _ => {
                let message = format!(
                    "Make `{key}` the https URL of this deployment, or exactly the value that the issuer puts into `aud`, or a \
                    list of at most {AUDIENCES_MAX} different ones; a URL has no user, query and fragment, and plain http is for \
                    loopback addresses."
                );
                report.error(values.at(key), CODE, message);
                return None;
            }
        }
    }
    if audiences.is_empty() || audiences.len() > AUDIENCES_MAX {
        let message = format!("List 1 to {AUDIENCES_MAX} audiences in `{key}`.");
        report.error(values.at(key), CODE, message);
        return None;
    }
    if let Some(shared) = audiences.iter().find(|audience| !is_https_or_loopback(audience)) {
        report.warn(
            values.at(key),
            ErrorCode::AudienceShared,
            shared_warning(shared, values),
        );
    }
    Audiences::of(audiences)
}

fn shared_warning(audience: &str, values: &ObjectReader<'_>) -> String {
    let resource = if values.has("resource") {
        ""
    } else {
        " Add `resource`, the URL of this deployment, so that clients find the issuer."
    };
    format!(
        "Check that no other service accepts tokens with the audience `{audience}`: it is not the URL of this deployment, so every \
        service of this issuer may share it, and a token that one of them receives also works here.{resource}"
    )
}

fn is_audience(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let is_web = lower.starts_with("https://") || lower.starts_with("http://");
    let is_plain = !text.is_empty() && text.len() <= URL_BYTES_MAX && text.chars().all(is_scope_char);
    is_plain && (!is_web || is_https_or_loopback(text))
}

/// Reads the profile; settings that are absent permit no difference.
pub(super) fn read(values: &ObjectReader<'_>, report: &mut ValidationReport) -> TokenProfile {
    let strict = TokenProfile::default();
    let accept = values.object("accept", CODE, report);
    let (types, header_members) = match &accept {
        None => (None, None),
        Some(accept) => {
            accept.only(fields::TOKEN_ACCEPT, report);
            (
                choices(accept, "typ", TokenType::WORDS, report),
                choices(accept, "header", HeaderMember::WORDS, report),
            )
        }
    };
    TokenProfile {
        types: types.unwrap_or(strict.types),
        header_members: header_members.unwrap_or(strict.header_members),
        scope_claim: values
            .choice("scope_claim", ScopeClaim::WORDS, CODE, report)
            .unwrap_or(strict.scope_claim),
        scope_when_absent: scopes(values, report),
        client_id_claim: name(
            values,
            "client_id_claim",
            &strict.client_id_claim,
            |c| c.is_ascii_graphic(),
            report,
        ),
        require_jti: values
            .flag("require_jti", CODE, report)
            .unwrap_or(strict.require_jti),
        audience_mode: values
            .choice("audience_mode", AudienceMode::WORDS, CODE, report)
            .unwrap_or(strict.audience_mode),
    }
}

/// Reads scopes separated by single spaces.
fn scopes(values: &ObjectReader<'_>, report: &mut ValidationReport) -> Option<String> {
    let key = "scope_when_absent";
    let text = values.text(key, CODE, report)?;
    let is_scope = |scope: &str| !scope.is_empty() && scope.chars().all(is_scope_char);
    if text.len() > URL_BYTES_MAX || !text.split(' ').all(is_scope) {
        let message =
            format!("Make `{key}` scopes of printable ASCII characters, separated by single spaces.");
        report.error(values.at(key), CODE, message);
        return None;
    }
    Some(text)
}

/// Reads one of the listed values, or a list of different ones.
fn choices<T: Copy + PartialEq>(
    object: &ObjectReader<'_>,
    key: &str,
    words: &'static [(&'static str, T)],
    report: &mut ValidationReport,
) -> Option<Vec<T>> {
    let listed = match object.get(key)? {
        JsonNode::List(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut chosen = Vec::with_capacity(listed.len());
    for node in listed {
        if let JsonNode::Text(text) = node {
            chosen.extend(value_of(words, text).filter(|value| !chosen.contains(value)));
        }
    }
    if chosen.is_empty() || chosen.len() != listed.len() {
        let list: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let message = format!("Make `{key}` a list of different ones of {}.", list.join(", "));
        report.error(object.at(key), CODE, message);
        return None;
    }
    Some(chosen)
}
