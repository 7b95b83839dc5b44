//! Classifies declared column types, as far as a tool argument needs.

/// Argument type of a column's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    Text,
    Number,
    Boolean,
}

const NUMBERS: &[&str] = &[
    "int",
    "integer",
    "smallint",
    "bigint",
    "tinyint",
    "mediumint",
    "int2",
    "int4",
    "int8",
    "serial",
    "smallserial",
    "bigserial",
    "numeric",
    "decimal",
    "dec",
    "real",
    "double",
    "double precision",
    "float",
    "float4",
    "float8",
    "number",
    "year",
];
const INTEGERS: &[&str] = &[
    "int",
    "integer",
    "smallint",
    "bigint",
    "tinyint",
    "mediumint",
    "int2",
    "int4",
    "int8",
    "serial",
    "smallserial",
    "bigserial",
    "year",
];
const BYTES: &[&str] = &[
    "bytea",
    "binary",
    "varbinary",
    "blob",
    "tinyblob",
    "mediumblob",
    "longblob",
];
/// Types with a length that is not declared.
const TINY: &[&str] = &["tinytext", "tinyblob"];
const TINY_BYTES: u32 = 255;
/// Types whose values have any length, unless one is declared.
const UNBOUNDED: &[&str] = &[
    "text",
    "mediumtext",
    "longtext",
    "clob",
    "citext",
    "bpchar",
    "varchar",
    "nvarchar",
    "character varying",
    "bytea",
    "blob",
    "mediumblob",
    "longblob",
    "numeric",
    "decimal",
    "dec",
    "number",
];
const BOOLEANS: &[&str] = &["bool", "boolean"];
const TEXTS: &[&str] = &[
    "char",
    "character",
    "varchar",
    "character varying",
    "text",
    "tinytext",
    "mediumtext",
    "longtext",
    "citext",
    "bpchar",
    "nchar",
    "nvarchar",
    "enum",
];

pub(super) fn of(declared: &str) -> Option<ColumnKind> {
    let declared = declared.trim().to_ascii_lowercase();
    if declared.starts_with("tinyint(1)") {
        return Some(ColumnKind::Boolean);
    }
    let name = bare(&declared);
    let is_in = |list: &[&str]| list.contains(&name.as_str());
    if is_in(NUMBERS) {
        Some(ColumnKind::Number)
    } else if is_in(BOOLEANS) {
        Some(ColumnKind::Boolean)
    } else if is_in(TEXTS) {
        Some(ColumnKind::Text)
    } else {
        None
    }
}

pub(super) fn is_integer(declared: &str) -> bool {
    of(declared) == Some(ColumnKind::Number) && INTEGERS.contains(&bare(declared.trim()).as_str())
}

/// Returns the type name without length, sign and the like. An array keeps its brackets and is not a scalar.
pub(super) fn bare(declared: &str) -> String {
    let lower = declared.to_ascii_lowercase();
    let (head, tail) = lower.split_once('(').unwrap_or((&lower, ""));
    let tail = tail.split_once(')').map_or("", |(_, tail)| tail);
    let words: Vec<&str> = head
        .split_whitespace()
        .chain(tail.split_whitespace())
        .filter(|word| !matches!(*word, "unsigned" | "signed" | "zerofill"))
        .collect();
    words.join(" ")
}

pub(super) fn is_bytes(declared: &str) -> bool {
    BYTES.contains(&bare(declared.trim()).as_str())
}

/// Returns the declared length of a string in characters, or of bytes.
pub(super) fn length(declared: &str) -> Option<u32> {
    if of(declared) != Some(ColumnKind::Text) && !is_bytes(declared) {
        return None;
    }
    if TINY.contains(&bare(declared.trim()).as_str()) && !declared.contains('(') {
        return Some(TINY_BYTES);
    }
    let (_, rest) = declared.split_once('(')?;
    rest.split_once(')')?.0.trim().parse().ok()
}

/// Whether the declared type allows values of any length.
pub(super) fn is_unbounded(declared: &str) -> bool {
    !declared.contains('(') && UNBOUNDED.contains(&bare(declared.trim()).as_str())
}

/// Maximum number of decimals that a description shows; MySQL has no more.
const DECIMALS_MAX: usize = 30;

/// Returns the declared number of decimals of a decimal number; `None` without decimals.
pub(super) fn decimals(declared: &str) -> Option<usize> {
    if !matches!(
        bare(declared.trim()).as_str(),
        "numeric" | "decimal" | "dec" | "fixed"
    ) {
        return None;
    }
    let (_, scale) = declared.split_once('(')?.1.split_once(')')?.0.split_once(',')?;
    scale
        .trim()
        .parse()
        .ok()
        .filter(|count| (1..=DECIMALS_MAX).contains(count))
}

/// Returns the declared number of digits of a number that is not an integer.
pub(super) fn digits(declared: &str) -> Option<u32> {
    if of(declared) != Some(ColumnKind::Number) || is_integer(declared) {
        return None;
    }
    let (_, rest) = declared.split_once('(')?;
    rest.split([',', ')']).next()?.trim().parse().ok()
}
