//! Formats signed records as JSON, and short phrases for text output.

use serde_json::{Value as Json, json};
use synapsor_domain::proposal::VerifiedProposal;
use synapsor_domain::timestamp::Timestamp;

use crate::workflows::{ApplyOutcome, ProposalView, SignedReceipt};

/// Maximum number of rows of a list.
pub(crate) const LIST_ROWS_MAX: i64 = 200;

/// Common members of every response about one proposal.
pub(crate) fn proposal_head(attested: &VerifiedProposal) -> serde_json::Map<String, Json> {
    let proposal = attested.proposal();
    let mut head = serde_json::Map::new();
    head.insert("proposal_id".to_owned(), json!(proposal.id));
    head.insert("proposal_digest".to_owned(), json!(attested.digest()));
    head.insert("short_code".to_owned(), json!(attested.digest().short_code()));
    head
}

/// Formats a receipt with its signature and key.
pub(crate) fn receipt(signed: &SignedReceipt) -> Json {
    json!({ "receipt_digest": signed.digest, "writer_key": signed.writer_key, "receipt": signed.receipt })
}

/// Formats the result of an apply.
pub(crate) fn applied(view: &ProposalView, applied: &ApplyOutcome) -> Json {
    let mut object = proposal_head(&view.attested);
    object.insert("status".to_owned(), json!(applied.status.as_str()));
    object.insert("result".to_owned(), json!(applied.result));
    object.insert("message".to_owned(), json!(applied.message));
    object.insert("fix".to_owned(), json!(applied.fix));
    object.insert("cause".to_owned(), json!(applied.cause));
    object.insert("order_digest".to_owned(), json!(applied.order_digest));
    object.insert("order_valid_until".to_owned(), json!(applied.order_valid_until));
    object.insert(
        "receipt".to_owned(),
        applied.receipt.as_ref().map_or(Json::Null, receipt),
    );
    Json::Object(object)
}

/// Formats the time until `end` in at most two units.
pub(crate) fn time_left(now: Timestamp, end: Timestamp) -> String {
    let seconds = (end - now).as_seconds();
    if seconds <= 0 {
        return "none".to_owned();
    }
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Parses a date, or a time with or without milliseconds.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    let full = match text.len() {
        10 => format!("{text}T00:00:00.000Z"),
        20 => text.replace('Z', ".000Z"),
        _ => text.to_owned(),
    };
    full.parse()
        .map_err(|_| "expected 2026-01-02 or 2026-01-02T03:04:05Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_has_at_most_two_units() {
        let at = |s: i64| Timestamp::from_unix_millis(s * 1000);
        assert_eq!(time_left(at(0), at(59)), "59 s");
        assert_eq!(time_left(at(0), at(3599)), "59 min");
        assert_eq!(time_left(at(0), at(3660)), "1 h 1 min");
        assert_eq!(time_left(at(0), at(90_000)), "1 d 1 h");
        assert_eq!(time_left(at(9), at(9)), "none");
    }

    #[test]
    fn dates_and_times_are_parsed() {
        assert_eq!(
            parse_time("2026-01-02").unwrap().to_string(),
            "2026-01-02T00:00:00.000Z"
        );
        assert_eq!(
            parse_time("2026-01-02T03:04:05Z").unwrap().to_string(),
            "2026-01-02T03:04:05.000Z"
        );
        assert!(parse_time("yesterday").is_err());
    }
}
