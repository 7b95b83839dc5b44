//! Constraints that a change violates, as receipts name them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Maximum length of a constraint's name in a receipt.
const NAME_CHARS_MAX: usize = 64;

/// Class of a constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConstraintClass {
    Unique,
    Check,
    ForeignKey,
    NotNull,
    /// PostgreSQL's exclusion of overlapping rows.
    Exclusion,
    /// The value is longer than the column allows.
    TooLong,
    /// The number is outside the range of the column.
    OutOfRange,
    /// The type or the character set of the column does not hold the value.
    Type,
}

/// A constraint of the target that rejected the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViolatedConstraint {
    pub class: ConstraintClass,
    /// Name of the constraint, its index or its column, as the server reports it; absent if it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Whether a name of a database object is a plain identifier, so that messages and receipts can contain it.
pub fn is_plain_name(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'$' | b'-'))
}

impl ConstraintClass {
    /// Returns the class in words: `unique`, `foreign key`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unique => "unique",
            Self::Check => "check",
            Self::ForeignKey => "foreign key",
            Self::NotNull => "not null",
            Self::Exclusion => "exclusion",
            Self::TooLong => "length",
            Self::OutOfRange => "range",
            Self::Type => "type",
        }
    }
}

impl ViolatedConstraint {
    /// Creates it; a name that is not a plain identifier is left out.
    pub fn new(class: ConstraintClass, name: Option<&str>) -> Self {
        Self {
            class,
            name: name.filter(|name| is_plain_name(name)).map(str::to_owned),
        }
    }
}

impl fmt::Display for ViolatedConstraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(column) if self.class == ConstraintClass::Type => write!(f, "type of column `{column}`"),
            None if self.class == ConstraintClass::Type => f.write_str("type of a column"),
            Some(name) => write!(f, "{} constraint `{name}`", self.class.as_str()),
            None => write!(f, "{} constraint", self.class.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_kept() {
        let named = |name| ViolatedConstraint::new(ConstraintClass::Unique, Some(name)).name;
        for name in ["lots_code_key", "lots.code", "a-b$1"] {
            assert_eq!(named(name).as_deref(), Some(name));
        }
        for name in ["", "two words", "o'clock", "\u{1b}[2J", "größe", &"x".repeat(65)] {
            assert_eq!(named(name), None, "{name}");
        }
    }

    #[test]
    fn text_names_class_and_constraint() {
        let named = ViolatedConstraint::new(ConstraintClass::ForeignKey, Some("lots_depot_fkey"));
        assert_eq!(named.to_string(), "foreign key constraint `lots_depot_fkey`");
        let json = serde_json::to_string(&named).unwrap();
        assert_eq!(json, r#"{"class":"foreign_key","name":"lots_depot_fkey"}"#);
        let plain = ViolatedConstraint::new(ConstraintClass::NotNull, None);
        assert_eq!(serde_json::to_string(&plain).unwrap(), r#"{"class":"not_null"}"#);
    }
}
