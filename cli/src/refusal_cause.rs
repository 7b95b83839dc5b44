//! Cause of a rejected call or a failed attempt, from the log of a process that this command started. The result envelope, which an agent
//! sees, has only the public code and text; the log belongs to the operator.

use std::path::Path;

use serde::Serialize;
use synapsor_chassis::files;

/// Maximum size of a log that is read, in bytes.
const LOG_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Messages of the log entries about a rejected call, the reader's and the gateway's, and about a failed attempt of the
/// writer.
const MESSAGES: [&str; 3] = ["call rejected", "call failed", "database not usable"];

/// What the process logged about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RefusalCause {
    /// Code of its own, before it is reduced to one that agents see.
    pub(crate) code: String,
    /// Absent for an attempt.
    pub(crate) correlation_id: Option<String>,
    /// Sentence about the cause; may be empty.
    pub(crate) text: String,
    pub(crate) fix: Option<String>,
}

/// Returns the newest entry, of this correlation id if one is known.
pub(crate) fn find(log: &Path, correlation_id: Option<&str>) -> Option<RefusalCause> {
    let bytes = files::read_bounded(log, LOG_BYTES_MAX).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut entries = text.lines().rev().filter_map(parse);
    entries.find(|entry| correlation_id.is_none_or(|id| entry.correlation_id.as_deref() == Some(id)))
}

fn parse(line: &str) -> Option<RefusalCause> {
    let fields = MESSAGES
        .iter()
        .find_map(|message| line.split_once(&format!(": {message} ")))
        .map(|(_, fields)| fields)?;
    let detail = field(fields, "detail").unwrap_or_default();
    let (text, fix) = match detail.split_once("\nfix: ") {
        Some((text, fix)) => (text.to_owned(), Some(fix.to_owned())),
        None => (detail, None),
    };
    Some(RefusalCause {
        code: field(fields, "code")?,
        correlation_id: field(fields, "correlation_id"),
        text,
        fix,
    })
}

/// Returns a field of an entry: a word, or a quoted string with escapes.
fn field(fields: &str, name: &str) -> Option<String> {
    let (_, value) = fields.split_once(&format!("{name}="))?;
    let Some(quoted) = value.strip_prefix('"') else {
        return value.split_whitespace().next().map(str::to_owned);
    };
    let (mut text, mut chars) = (String::new(), quoted.chars());
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => match chars.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READER: &str = "2026-03-01T00:00:00Z  INFO synapsor_reader::call_handler: call rejected \
        code=SOURCE_UNAVAILABLE correlation_id=qa_01 detail=\"the database at 127.0.0.1:1 refused \\\"it\\\"\\nfix: check \
        host and port\"";
    const GATEWAY: &str = "2026-03-01T00:00:01Z  WARN synapsor_gateway::tool_result: call failed \
        code=EXECUTOR_UNAVAILABLE detail=\"connection lost\" correlation_id=\"4f2a\"";

    #[test]
    fn entries_of_reader_and_gateway_are_parsed() {
        let reader = parse(READER).unwrap();
        assert_eq!(
            (reader.code.as_str(), reader.correlation_id.as_deref()),
            ("SOURCE_UNAVAILABLE", Some("qa_01"))
        );
        assert_eq!(reader.text, "the database at 127.0.0.1:1 refused \"it\"");
        assert_eq!(reader.fix.as_deref(), Some("check host and port"));
        let gateway = parse(GATEWAY).unwrap();
        assert_eq!(
            (gateway.correlation_id.as_deref(), gateway.text.as_str()),
            (Some("4f2a"), "connection lost")
        );
        assert_eq!(gateway.fix, None);
    }

    #[test]
    fn other_lines_are_no_causes() {
        for line in [
            "",
            "call rejected",
            "INFO x: call served code=A correlation_id=qa_1",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn newest_entry_of_the_call_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("reader.log");
        std::fs::write(
            &log,
            format!("{READER}\n{}\nother\n", READER.replace("qa_01", "qa_02")),
        )
        .unwrap();
        let found = |id| find(&log, id).and_then(|cause| cause.correlation_id);
        assert_eq!(found(None).as_deref(), Some("qa_02"));
        assert_eq!(found(Some("qa_01")).as_deref(), Some("qa_01"));
        assert_eq!(found(Some("qa_03")), None);
        assert_eq!(find(&folder.path().join("missing"), None), None);
    }
}
