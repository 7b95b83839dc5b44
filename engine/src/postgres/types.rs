//! Column types: the kind of value of each, the expression of its exact text, and the type name to which a
//! parameter is cast. An unknown type is read as the server prints it, and never written.

use synapsor_domain::limits::VALUE_BYTES_MAX;
use synapsor_domain::schema::TableColumn;
use synapsor_domain::value::{Value, ValueKind};

use synapsor_source::error::{EngineError, EngineErrorKind};

/// Types that the server's grammar spells; the search path cannot redefine them.
const GRAMMAR_TYPES: [&str; 7] = [
    "boolean", "smallint", "integer", "bigint", "numeric", "real", "interval",
];

/// Classification of a column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Bool,
    /// Signed, of this many bits.
    Int(u32),
    /// With precision and scale, if declared.
    Numeric(Option<(u32, i32)>),
    Float4,
    Float8,
    /// With the most characters, if declared.
    Text(Option<usize>),
    /// `char(n)`: padding blanks are not part of the value.
    Char(usize),
    /// `bpchar` without a length, where trailing blanks are kept.
    Blanks,
    Bytes,
    Uuid,
    Date,
    /// With the digits of a second's fraction.
    Time(usize),
    Timestamp(usize),
    Timestamptz(usize),
    Json,
    Jsonb,
    Enum,
    /// A transaction id, or an OID.
    Xid,
    Oid,
    /// Any other type.
    Other,
}

/// Returns the type of the values: for a domain, its base type.
pub fn underlying(column: &TableColumn) -> &str {
    column.base_type.as_deref().unwrap_or(&column.declared_type)
}

impl Family {
    pub fn of(column: &TableColumn) -> Self {
        if !column.labels.is_empty() {
            return Family::Enum;
        }
        let declared = underlying(column);
        let (name, modifiers) = split_modifiers(declared);
        let first = modifiers.first().copied();
        let fraction = || first.and_then(|n| usize::try_from(n).ok()).unwrap_or(6);
        let length = first.and_then(|n| usize::try_from(n).ok());
        match name.as_str() {
            "boolean" => Family::Bool,
            "smallint" => Family::Int(16),
            "integer" => Family::Int(32),
            "bigint" => Family::Int(64),
            "numeric" => Family::Numeric(first.map(|p| {
                let scale = modifiers.get(1).copied().unwrap_or(0);
                (u32::try_from(p).unwrap_or(0), scale)
            })),
            "real" => Family::Float4,
            "double precision" => Family::Float8,
            "text" => Family::Text(None),
            "character varying" => Family::Text(length),
            "character" => Family::Char(length.unwrap_or(1)),
            "bpchar" => Family::Blanks,
            "bytea" => Family::Bytes,
            "uuid" => Family::Uuid,
            "date" => Family::Date,
            "time without time zone" => Family::Time(fraction()),
            "timestamp without time zone" => Family::Timestamp(fraction()),
            "timestamp with time zone" => Family::Timestamptz(fraction()),
            "json" => Family::Json,
            "jsonb" => Family::Jsonb,
            "xid" => Family::Xid,
            "oid" => Family::Oid,
            // A type of an extension: strings compared without case.
            name if name == "citext" || name.ends_with(".citext") => Family::Text(None),
            _ => Family::Other,
        }
    }

    /// Whether the type stores any value unchanged.
    pub const fn is_writable(self) -> bool {
        !matches!(self, Family::Xid | Family::Oid | Family::Other)
    }

    const fn kind(self) -> ValueKind {
        match self {
            Family::Bool => ValueKind::Bool,
            Family::Int(_) | Family::Oid => ValueKind::Int,
            Family::Numeric(_) => ValueKind::Dec,
            Family::Float4 | Family::Float8 => ValueKind::Float,
            Family::Text(_)
            | Family::Char(_)
            | Family::Blanks
            | Family::Enum
            | Family::Xid
            | Family::Other => ValueKind::Text,
            Family::Bytes => ValueKind::Bytes,
            Family::Uuid => ValueKind::Uuid,
            Family::Date => ValueKind::Date,
            Family::Time(_) => ValueKind::Time,
            Family::Timestamp(_) => ValueKind::Ts,
            Family::Timestamptz(_) => ValueKind::Tstz,
            Family::Json | Family::Jsonb => ValueKind::Json,
        }
    }

    /// Whether the type's `=` can be used beside the text comparison, so that an index serves.
    pub const fn has_equality(self) -> bool {
        !matches!(self, Family::Json | Family::Other)
    }

    /// Returns the expression of the exact text of `value`, truncated above the size limit.
    pub fn text_of(self, value: &str) -> String {
        const CUT: usize = VALUE_BYTES_MAX + 1;
        match self {
            Family::Bool
            | Family::Int(_)
            | Family::Numeric(Some(_))
            | Family::Float4
            | Family::Float8
            | Family::Uuid
            | Family::Date
            | Family::Time(_)
            | Family::Timestamp(_)
            | Family::Timestamptz(_)
            | Family::Xid
            | Family::Oid => format!("{value}::pg_catalog.text"),
            // An owner can define a cast to text for the type; its output function is the server's own.
            Family::Enum => format!("pg_catalog.textin(pg_catalog.enum_out({value}))"),
            Family::Numeric(None) | Family::Text(_) | Family::Char(_) | Family::Json | Family::Jsonb => {
                format!("pg_catalog.left({value}::pg_catalog.text, {CUT})")
            }
            // A cast to text would drop the blanks.
            Family::Blanks => {
                format!("pg_catalog.left(pg_catalog.textin(pg_catalog.bpcharout({value})), {CUT})")
            }
            Family::Bytes => {
                let bytes = CUT / 2 + 1;
                format!(
                    "pg_catalog.encode(pg_catalog.substring({value}, 1, {bytes}), 'hex'::pg_catalog.text)"
                )
            }
            // A cast to text can be user-defined; the type's output function is not.
            Family::Other => {
                format!(
                    "CASE WHEN pg_catalog.num_nulls({value}) OPERATOR(pg_catalog.=) 0 \
                     THEN pg_catalog.left(pg_catalog.format('%s'::pg_catalog.text, {value}), {CUT}) END"
                )
            }
        }
    }

    /// Converts the server's text to a value.
    pub fn value(self, text: Option<&str>) -> Result<Value, EngineError> {
        let Some(text) = text else {
            return Ok(Value::null());
        };
        if text.len() > VALUE_BYTES_MAX {
            return Err(EngineError::new(EngineErrorKind::TooLarge, "a column value"));
        }
        let unexpected = || EngineError::new(EngineErrorKind::Unreadable, "a value is not of the kept type");
        match self {
            Family::Bool if !matches!(text, "true" | "false") => Err(unexpected()),
            Family::Int(_) | Family::Oid if text.parse::<i64>().is_err() => Err(unexpected()),
            // `NaN` and the infinities are not decimals.
            Family::Numeric(_) if matches!(text, "NaN" | "Infinity" | "-Infinity") => Ok(Value::text(text)),
            Family::Float4 => text
                .parse::<f32>()
                .map(|number| Value::exact(ValueKind::Float, format!("{number:?}")))
                .map_err(|_| unexpected()),
            Family::Float8 => text
                .parse::<f64>()
                .map(|number| Value::exact(ValueKind::Float, format!("{number:?}")))
                .map_err(|_| unexpected()),
            Family::Bool
            | Family::Int(_)
            | Family::Numeric(_)
            | Family::Text(_)
            | Family::Char(_)
            | Family::Blanks
            | Family::Bytes
            | Family::Uuid
            | Family::Date
            | Family::Time(_)
            | Family::Timestamp(_)
            | Family::Timestamptz(_)
            | Family::Json
            | Family::Jsonb
            | Family::Enum
            | Family::Xid
            | Family::Oid
            | Family::Other => Ok(Value::exact(self.kind(), text)),
        }
    }

    /// Whether the column could store the value at all: of its kind, and in a form that the server accepts. A
    /// value that it cannot store equals nothing in it.
    pub fn can_hold(self, column: &TableColumn, value: &Value) -> bool {
        let Some(text) = value.as_text() else { return false };
        if text.contains('\0') {
            return false;
        }
        let is_number_word = matches!(text, "NaN" | "Infinity" | "-Infinity");
        let is_kind = value.kind() == self.kind();
        match self {
            Family::Numeric(_) => {
                is_kind && is_plain_number(text) || value.kind() == ValueKind::Text && is_number_word
            }
            Family::Int(bits) => {
                let limit = 1_i128 << (bits - 1);
                is_kind
                    && text
                        .parse::<i128>()
                        .is_ok_and(|n| (-limit..limit).contains(&n) && n.to_string() == text)
            }
            Family::Oid => is_kind && text.parse::<u32>().is_ok(),
            Family::Xid => is_kind && text.parse::<u32>().is_ok_and(|n| n.to_string() == text),
            Family::Uuid => is_kind && is_uuid(text),
            Family::Enum => is_kind && column.labels.iter().any(|label| label == text),
            Family::Bytes => is_kind && hex::decode(text).is_ok(),
            Family::Bool => is_kind && matches!(text, "true" | "false"),
            Family::Float4 | Family::Float8 => is_kind && text.parse::<f64>().is_ok(),
            Family::Text(_)
            | Family::Char(_)
            | Family::Blanks
            | Family::Date
            | Family::Time(_)
            | Family::Timestamp(_)
            | Family::Timestamptz(_)
            | Family::Json
            | Family::Jsonb
            | Family::Other => is_kind,
        }
    }
}

/// Returns the type's name for a cast, without length, precision or scale: those would truncate and round.
/// Built-in types outside the server's grammar are qualified, so the search path has no effect.
pub fn cast_name(column: &TableColumn) -> String {
    let declared = underlying(column);
    let name = split_modifiers(declared).0;
    match name.as_str() {
        // Without a length, these types mean a length of one.
        "character" => "pg_catalog.bpchar".to_owned(),
        "bit" => "pg_catalog.\"bit\"".to_owned(),
        // The description was made with only `pg_catalog` on the search path.
        name if name.contains(['.', ' ']) || GRAMMAR_TYPES.contains(&name.trim_end_matches("[]")) => {
            name.to_owned()
        }
        name => format!("pg_catalog.{name}"),
    }
}

/// Checks for hex digits in groups of 8, 4, 4, 4 and 12, lower case.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Checks for digits with at most one leading sign and one point.
pub fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction]
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

/// Splits a type into its name without parentheses, and the numbers in them. Quoted names stay whole.
fn split_modifiers(declared: &str) -> (String, Vec<i32>) {
    let (mut name, mut inside) = (String::new(), String::new());
    let (mut is_quoted, mut depth) = (false, 0_u32);
    for c in declared.chars() {
        match c {
            '"' if depth == 0 => {
                is_quoted = !is_quoted;
                name.push(c);
            }
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth = depth.saturating_sub(1),
            c if depth > 0 => inside.push(c),
            c => name.push(c),
        }
    }
    let numbers = inside.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    (name, numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(declared: &str) -> TableColumn {
        TableColumn {
            name: "c".to_owned(),
            declared_type: declared.to_owned(),
            nullable: true,
            generated: false,
            primary_key: false,
            unique: false,
            collation: None,
            base_type: None,
            labels: Vec::new(),
        }
    }

    #[test]
    fn declared_types_map_to_a_family_and_a_bare_name() {
        for (declared, family, cast) in [
            ("numeric(10,2)", Family::Numeric(Some((10, 2))), "numeric"),
            ("numeric(3,-2)", Family::Numeric(Some((3, -2))), "numeric"),
            ("character(8)", Family::Char(8), "pg_catalog.bpchar"),
            ("bpchar", Family::Blanks, "pg_catalog.bpchar"),
            ("uuid", Family::Uuid, "pg_catalog.uuid"),
            ("character varying(3)", Family::Text(Some(3)), "character varying"),
            (
                "timestamp(3) without time zone",
                Family::Timestamp(3),
                "timestamp without time zone",
            ),
            (
                "timestamp with time zone",
                Family::Timestamptz(6),
                "timestamp with time zone",
            ),
            ("bit(8)", Family::Other, "pg_catalog.\"bit\""),
            ("numeric(10,2)[]", Family::Other, "numeric[]"),
            ("uuid[]", Family::Other, "pg_catalog.uuid[]"),
            ("\"char\"", Family::Other, "pg_catalog.\"char\""),
            (
                "\"we(ird)\".\"ty\"\"pe\"",
                Family::Other,
                "\"we(ird)\".\"ty\"\"pe\"",
            ),
            ("public.citext", Family::Text(None), "public.citext"),
        ] {
            assert_eq!(Family::of(&column(declared)), family, "{declared}");
            assert_eq!(cast_name(&column(declared)), cast, "{declared}");
        }
    }
}
