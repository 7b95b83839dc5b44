//! Database value, as exact text with its kind. Never a float, never a lossy date.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Kind of the text in a [`Value`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueKind {
    /// SQL NULL; the text is empty.
    Null,
    /// `true` or `false`.
    Bool,
    /// Integer of any size in plain digits.
    Int,
    /// Exact decimal in plain digits; trailing zeros are significant.
    Dec,
    /// Binary float in the shortest text that parses to the same bits.
    Float,
    Text,
    /// Lower-case hex.
    Bytes,
    /// Date and time without a zone.
    Ts,
    /// Date and time in UTC.
    Tstz,
    Date,
    Time,
    Uuid,
    Json,
}

/// Exact value: `{"t":"int","v":"9007199254740993"}`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    #[serde(rename = "t")]
    kind: ValueKind,
    #[serde(rename = "v")]
    text: String,
}

impl Value {
    pub fn null() -> Self {
        Self {
            kind: ValueKind::Null,
            text: String::new(),
        }
    }
    pub fn bool(value: bool) -> Self {
        Self {
            kind: ValueKind::Bool,
            text: value.to_string(),
        }
    }
    pub fn int(value: i128) -> Self {
        Self {
            kind: ValueKind::Int,
            text: value.to_string(),
        }
    }
    pub fn text(value: impl Into<String>) -> Self {
        Self {
            kind: ValueKind::Text,
            text: value.into(),
        }
    }
    pub fn bytes(value: &[u8]) -> Self {
        Self {
            kind: ValueKind::Bytes,
            text: hex::encode(value),
        }
    }
    /// Creates a value of another kind from exact text that the engine or the decimal type wrote.
    pub fn exact(kind: ValueKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: if kind == ValueKind::Null {
                String::new()
            } else {
                text.into()
            },
        }
    }

    pub const fn kind(&self) -> ValueKind {
        self.kind
    }
    pub const fn is_null(&self) -> bool {
        matches!(self.kind, ValueKind::Null)
    }
    /// Returns the exact text; `None` for NULL.
    pub fn as_text(&self) -> Option<&str> {
        (!self.is_null()).then_some(self.text.as_str())
    }
    /// Returns the size of the value's text, in bytes.
    pub const fn len_bytes(&self) -> usize {
        self.text.len()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Business values must not reach logs by accident.
        write!(f, "Value({:?}, {} bytes)", self.kind, self.text.len())
    }
}

/// Column with its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnValue {
    pub column: String,
    pub value: Value,
}

impl ColumnValue {
    pub fn new(column: impl Into<String>, value: Value) -> Self {
        Self {
            column: column.into(),
            value,
        }
    }
}

/// Returns the value of a named column in a list of columns.
pub fn find<'a>(columns: &'a [ColumnValue], name: &str) -> Option<&'a Value> {
    columns.iter().find(|c| c.column == name).map(|c| &c.value)
}
