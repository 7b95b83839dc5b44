//! Suggestions from names and types: possible tenant, version and secret columns.

use serde::{Deserialize, Serialize};

use super::{ColumnInfo, kind};
use crate::contract::is_secret_like;

const TENANT: &[&str] = &[
    "tenant_id",
    "account_id",
    "organization_id",
    "org_id",
    "workspace_id",
    "customer_id",
];
const CONFLICT: &[&str] = &[
    "updated_at",
    "modified_at",
    "row_version",
    "version",
    "lock_version",
    "etag",
];
const IMMUTABLE: &[&str] = &["id", "uuid", "created_at", "created_by"];
/// Matched anywhere in the name.
const SENSITIVE: &[&str] = &[
    "password",
    "secret",
    "token",
    "api_key",
    "api-key",
    "apikey",
    "access_key",
    "private_key",
    "session",
    "cookie",
    "social_security",
    "credit_card",
    "card_number",
    "oauth",
];
/// Matched only as whole words: inside other words these letters mean nothing.
const SENSITIVE_WORDS: &[&str] = &["ssn", "cvv"];
const LARGE: &[&str] = &["json", "jsonb"];
const LARGE_PARTS: &[&str] = &["blob", "binary", "bytea", "vector"];

/// Suggested roles of one column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "five independent flags of the published form"
)]
pub struct ColumnSuggestions {
    pub tenant: bool,
    pub conflict: bool,
    pub sensitive: bool,
    pub immutable: bool,
    pub large_or_binary: bool,
}

/// Suggestions for one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSuggestions {
    #[serde(default)]
    pub tenant_columns: Vec<String>,
    #[serde(default)]
    pub conflict_columns: Vec<String>,
    #[serde(default)]
    pub sensitive_columns: Vec<String>,
    /// Every column that is not sensitive, not large, can be read, and can be named in a contract.
    #[serde(default)]
    pub default_visible_columns: Vec<String>,
}

/// Returns the suggestions for a column's name and type.
pub fn of_column(name: &str, data_type: &str, is_key: bool) -> ColumnSuggestions {
    let name = name.to_lowercase();
    let tenant = TENANT.contains(&name.as_str());
    ColumnSuggestions {
        tenant,
        conflict: CONFLICT.contains(&name.as_str()),
        sensitive: is_sensitive(&name),
        immutable: is_key || tenant || IMMUTABLE.contains(&name.as_str()),
        large_or_binary: is_large(data_type),
    }
}

fn is_sensitive(name: &str) -> bool {
    let mut words = name.split(|letter: char| !letter.is_alphanumeric());
    // A column that a contract refuses to show must not be suggested either.
    is_secret_like(name)
        || SENSITIVE.iter().any(|part| name.contains(part))
        || words.any(|word| SENSITIVE_WORDS.contains(&word))
}

fn is_large(data_type: &str) -> bool {
    let bare = kind::bare(data_type);
    LARGE.contains(&bare.trim_end_matches("[]")) || LARGE_PARTS.iter().any(|part| bare.contains(part))
}

/// Returns the suggestions for a table's columns, each list in table order.
pub fn of_table(columns: &[ColumnInfo]) -> TableSuggestions {
    let names = |wanted: &dyn Fn(&ColumnInfo) -> bool| -> Vec<String> {
        columns
            .iter()
            .filter(|column| wanted(column))
            .map(|column| column.name.clone())
            .collect()
    };
    TableSuggestions {
        tenant_columns: names(&|c| c.suggestions.tenant),
        conflict_columns: names(&|c| c.suggestions.conflict),
        sensitive_columns: names(&|c| c.suggestions.sensitive),
        default_visible_columns: names(&|c| {
            !c.suggestions.sensitive && !c.suggestions.large_or_binary && c.is_nameable() && !c.unreadable
        }),
    }
}
