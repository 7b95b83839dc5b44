//! Reading a trust file: whatever is wrong with it is named with its place.

use serde_json::Value as Json;

use super::{OperatorKey, ServiceKey, TrustFile, is_name};
use crate::error::PublicError;
use crate::limits::FILE_BYTES_MAX;

impl TrustFile {
    /// Reads and checks a trust file. All problems come as one refusal, each with its place.
    pub fn parse(bytes: &[u8]) -> Result<Self, PublicError> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(PublicError::new(
                "TRUST_FILE_TOO_LARGE",
                format!("the trust file is over {FILE_BYTES_MAX} bytes"),
            ));
        }
        let file: Self = serde_json::from_slice(bytes).map_err(|error| {
            let place = entry_problem(bytes).unwrap_or_else(|| error.to_string());
            PublicError::new(
                "TRUST_FILE_INVALID",
                format!("the trust file does not read: {place}"),
            )
        })?;
        let problems = file.problems();
        if problems.is_empty() {
            Ok(file)
        } else {
            Err(PublicError::new("TRUST_FILE_INVALID", problems.join("; ")))
        }
    }
}

/// The first entry that does not read, with its place and, if it has one, its person.
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
