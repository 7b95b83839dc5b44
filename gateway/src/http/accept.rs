//! Reads `Accept` headers: media ranges with wildcards, parameters and weights, in any number of lines (RFC 9110,
//! section 12.5.1). rmcp compares names of types only, so it gets the types that the client accepts by name.

use http::{HeaderMap, HeaderValue, header};

use super::admission::{EVENT_STREAM, JSON};

/// `Accept` of a client that takes both types of MCP.
pub(super) const BOTH_TYPES: &str = "application/json, text/event-stream";

/// Replaces the `Accept` headers by the types of MCP that they accept.
pub(super) fn name_types(headers: &mut HeaderMap) {
    let named = match (accepts(headers, JSON), accepts(headers, EVENT_STREAM)) {
        (true, true) => BOTH_TYPES,
        (true, false) => JSON,
        (false, true) => EVENT_STREAM,
        (false, false) => {
            headers.remove(header::ACCEPT);
            return;
        }
    };
    headers.insert(header::ACCEPT, HeaderValue::from_static(named));
}

/// Whether the most specific range that includes `media_type` has a weight above zero.
fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| split_unquoted(line, ','))
        .filter_map(|range| {
            let mut parts = split_unquoted(range, ';').into_iter();
            let specificity = specificity(parts.next()?.trim(), media_type)?;
            // Of two equal ranges the one that accepts applies.
            Some((specificity, !parts.any(is_weight_zero)))
        })
        .max()
        .is_some_and(|(_, is_accepted)| is_accepted)
}

/// Returns how exactly a range names a type; `None` if it does not include the type.
fn specificity(range: &str, media_type: &str) -> Option<u8> {
    if range.eq_ignore_ascii_case(media_type) {
        return Some(2);
    }
    let (of_type, _) = media_type.split_once('/')?;
    match range.split_once('/')? {
        ("*", "*") => Some(0),
        (named, "*") if named.eq_ignore_ascii_case(of_type) => Some(1),
        _ => None,
    }
}

/// Whether a parameter is the weight zero. A weight in another form than RFC 9110 allows excludes nothing.
fn is_weight_zero(parameter: &str) -> bool {
    let Some((name, weight)) = parameter.split_once('=') else {
        return false;
    };
    let (whole, fraction) = weight.trim().split_once('.').unwrap_or((weight.trim(), ""));
    name.trim().eq_ignore_ascii_case("q")
        && whole == "0"
        && fraction.len() <= 3
        && fraction.bytes().all(|digit| digit == b'0')
}

/// Splits at a separator outside of quoted strings.
fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let is_separator = |c: char| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match c {
            '\\' => is_escaped = is_quoted && !was_escaped,
            '"' => is_quoted ^= !was_escaped,
            _ => return c == separator && !is_quoted,
        }
        false
    };
    text.split(is_separator).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT, HeaderValue::from_str(line).unwrap());
        }
        name_types(&mut headers);
        let mut left = headers.get_all(header::ACCEPT).iter();
        let first = left.next().map(|value| value.to_str().unwrap().to_owned());
        assert!(left.next().is_none(), "{lines:?}");
        first
    }

    #[test]
    fn ranges_that_include_both_types_are_named() {
        for lines in [
            &[BOTH_TYPES][..],
            &["*/*"],
            &["*/*;q=0.8"],
            &["text/html, */* ; q=0.001"],
            &["application/*, text/*"],
            &["Application/JSON;charset=utf-8 ,TEXT/Event-Stream; Q=0.5"],
            &["application/json", "text/event-stream"],
            &["  application/json  ;  q = 1.000 ,,\ttext/*"],
            &["application/json;profile=\"a,b;q=0\\\";q=0\", text/event-stream"],
            &["application/json;q=abc, text/event-stream;q=0.0000"],
            &["*/*;q=0, application/json, text/*;q=0.1"],
        ] {
            assert_eq!(named(lines).as_deref(), Some(BOTH_TYPES), "{lines:?}");
        }
    }

    #[test]
    fn weight_zero_and_other_types_are_not_accepted() {
        for (lines, expected) in [
            (&["*/*, text/event-stream;q=0"][..], Some(JSON)),
            (&["*/*", "application/*;q=0.000"], Some(EVENT_STREAM)),
            (&["application/json, text/html"], Some(JSON)),
            (&["text/event-stream"], Some(EVENT_STREAM)),
            (&["*/*;q=0"], None),
            (&["*/* ; q = 0."], None),
            (&["text/html, application/xml"], None),
            (&["json", "*", "*/json", "text"], None),
            (&[], None),
        ] {
            assert_eq!(named(lines).as_deref(), expected, "{lines:?}");
        }
    }
}
