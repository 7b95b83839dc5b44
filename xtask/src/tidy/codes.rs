//! Error codes are values of `ErrorCode`: no product code names one as text.

use proc_macro2::TokenTree;
use synapsor_codes::ErrorCode;

use super::Violation;
use super::source::{Source, string_of};

/// The crate that lists the codes.
const LIST: &str = "codes/";

/// String literals of product code, outside its tests, that are error codes.
pub(super) fn as_text(source: &Source) -> Vec<Violation> {
    if !source.is_product() || source.path.starts_with(LIST) || source.path.contains("/conformance/") {
        return Vec::new();
    }
    let tests = source
        .text
        .find("#[cfg(test)]\nmod ")
        .unwrap_or(source.text.len());
    let literals = source.tokens.iter().filter_map(|token| match token {
        TokenTree::Literal(literal) if token.span().byte_range().start < tests => {
            Some((token.span().start().line, string_of(literal)?))
        }
        _ => None,
    });
    literals
        .filter(|(_, text)| ErrorCode::from_text(text).is_some())
        .map(|(line, text)| Violation {
            path: source.path.clone(),
            line,
            text: format!("error code `{text}` as text: use `ErrorCode`"),
        })
        .collect()
}
