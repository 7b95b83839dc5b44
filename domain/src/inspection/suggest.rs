//! What names and types suggest: which column may bind a tenant, tell a version, hold a secret.

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
/// Anywhere in the name.
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
/// Only as whole words: within others these letters mean nothing.
const SENSITIVE_WORDS: &[&str] = &["ssn", "cvv"];
const LARGE: &[&str] = &["json", "jsonb"];
const LARGE_PARTS: &[&str] = &["blob", "binary", "bytea", "vector"];

/// What one column looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "five independent marks of the published form"
)]
pub struct ColumnSuggestions {
    pub tenant: bool,
    pub conflict: bool,
    pub sensitive: bool,
    pub immutable: bool,
    pub large_or_binary: bool,
}

/// The same by table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSuggestions {
    #[serde(default)]
    pub tenant_columns: Vec<String>,
    #[serde(default)]
    pub conflict_columns: Vec<String>,
    #[serde(default)]
    pub sensitive_columns: Vec<String>,
    /// Every column that is neither sensitive nor large nor impossible to name in a contract.
    #[serde(default)]
    pub default_visible_columns: Vec<String>,
}

/// What the name and the type of a column suggest.
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
    // What a contract refuses to show is never suggested either.
    is_secret_like(name)
        || SENSITIVE.iter().any(|part| name.contains(part))
        || words.any(|word| SENSITIVE_WORDS.contains(&word))
}

fn is_large(data_type: &str) -> bool {
    let bare = kind::bare(data_type);
    LARGE.contains(&bare.trim_end_matches("[]")) || LARGE_PARTS.iter().any(|part| bare.contains(part))
}

/// What the columns of a table suggest, each list in the table's order.
pub fn of_table(columns: &[ColumnInfo]) -> TableSuggestions {
    let names = |wanted: fn(&ColumnInfo) -> bool| -> Vec<String> {
        columns
            .iter()
            .filter(|column| wanted(column))
            .map(|column| column.name.clone())
            .collect()
    };
    TableSuggestions {
        tenant_columns: names(|c| c.suggestions.tenant),
        conflict_columns: names(|c| c.suggestions.conflict),
        sensitive_columns: names(|c| c.suggestions.sensitive),
        default_visible_columns: names(|c| {
            !c.suggestions.sensitive && !c.suggestions.large_or_binary && c.is_nameable()
        }),
    }
}
