//! Parses a trust file; every error names its position.

use serde_json::Value as Json;
use synapsor_codes::ErrorCode;

use super::{OperatorKey, ServiceKey, TrustFile, is_name};
use crate::error::PublicError;
use crate::limits::FILE_BYTES_MAX;

impl TrustFile {
    /// Parses and validates a trust file. One error lists all problems, each with its position.
    pub fn parse(bytes: &[u8]) -> Result<Self, PublicError> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(PublicError::new(
                ErrorCode::TrustFileTooLarge,
                format!("trust file exceeds {FILE_BYTES_MAX} bytes"),
            ));
        }
        let file: Self = serde_json::from_slice(bytes).map_err(|error| {
            let reason = entry_problem(bytes).unwrap_or_else(|| error.to_string());
            PublicError::new(
                ErrorCode::TrustFileInvalid,
                format!("invalid trust file: {reason}"),
            )
        })?;
        let problems = file.problems();
        if problems.is_empty() {
            Ok(file)
        } else {
            Err(PublicError::new(ErrorCode::TrustFileInvalid, problems.join("; ")))
        }
    }
}

/// Returns the first invalid entry, with its position and, if present, its operator.
fn entry_problem(bytes: &[u8]) -> Option<String> {
    let file: Json = serde_json::from_slice(bytes).ok()?;
    let services = ["readers", "writers", "ledgers"].into_iter();
    let mut service = services.filter_map(|list| problem_in::<ServiceKey>(&file, list));
    service
        .next()
        .or_else(|| problem_in::<OperatorKey>(&file, "operators"))
}

fn problem_in<T: serde::de::DeserializeOwned>(file: &Json, list: &str) -> Option<String> {
    let entries = file.get(list)?.as_array()?;
    entries.iter().enumerate().find_map(|(i, entry)| {
        let error = serde_json::from_value::<T>(entry.clone()).err()?;
        let person = entry.get("person").and_then(Json::as_str);
        let person = person.filter(|name| is_name(name));
        let person = person.map_or_else(String::new, |name| format!(" (person `{name}`)"));
        Some(format!("$.{list}[{i}]{person}: {error}"))
    })
}
