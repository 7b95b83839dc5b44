//! Classifies a column by its declared type and collation, and decides which strings its character set can
//! store.

use synapsor_domain::schema::TableColumn;

/// The collation that a shape does not name: strings are equal if their bytes are, except for trailing
/// blanks.
pub const BINARY_COLLATION: &str = "utf8mb4_bin";

/// The characters of `latin1` from 0x80 to 0x9f; the others are the first 256 of Unicode.
const LATIN1_LETTERS: &str = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ";

/// A declared type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    /// Bounds are inclusive.
    Int {
        min: i128,
        max: i128,
    },
    Decimal {
        precision: usize,
        scale: usize,
        is_unsigned: bool,
    },
    Float {
        is_double: bool,
        /// Declared with digits, to which it rounds.
        is_scaled: bool,
        is_unsigned: bool,
    },
    Text {
        charset: Charset,
        size: TextSize,
    },
    Bytes {
        bytes_max: u64,
        /// Shorter values are padded.
        is_fixed: bool,
    },
    Date,
    Year,
    /// Number of fractional digits of a second.
    DateTime(usize),
    Timestamp(usize),
    Time(usize),
    Bit(u32),
    Enum {
        charset: Charset,
        labels: Vec<String>,
    },
    Set {
        charset: Charset,
        labels: Vec<String>,
    },
    Json,
    Uuid,
    /// A type whose values are not supported.
    Other,
}

/// Capacity of a text column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextSize {
    /// Characters; trailing blanks are lost.
    Char(u64),
    /// Characters.
    Varchar(u64),
    /// Bytes.
    Text(u64),
}

/// A character set with the collation of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charset {
    pub name: String,
    pub collation: String,
}

impl ColumnType {
    pub fn of(column: &TableColumn) -> Self {
        let declared = column.declared_type.as_str();
        let base: String = declared.chars().take_while(char::is_ascii_alphanumeric).collect();
        let (inner, rest) = arguments(&declared[base.len()..]);
        let numbers: Vec<u64> = inner
            .split(',')
            .filter_map(|part| part.trim().parse().ok())
            .collect();
        let number = |at: usize| numbers.get(at).copied();
        let digits = number(0).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let is_unsigned = rest.contains("unsigned") || rest.contains("zerofill");
        let text = |size| Self::Text {
            charset: Charset::of(column),
            size,
        };
        let bytes = |bytes_max, is_fixed| Self::Bytes { bytes_max, is_fixed };
        match base.as_str() {
            "tinyint" => integer(8, is_unsigned),
            "smallint" => integer(16, is_unsigned),
            "mediumint" => integer(24, is_unsigned),
            "int" => integer(32, is_unsigned),
            "bigint" => integer(64, is_unsigned),
            "decimal" => Self::Decimal {
                precision: digits,
                scale: number(1).and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
                is_unsigned,
            },
            "float" | "double" => Self::Float {
                is_double: base == "double",
                is_scaled: number(1).is_some(),
                is_unsigned,
            },
            "char" => text(TextSize::Char(number(0).unwrap_or(1))),
            "varchar" => text(TextSize::Varchar(number(0).unwrap_or(0))),
            "tinytext" => text(TextSize::Text(0xff)),
            "text" => text(TextSize::Text(0xffff)),
            "mediumtext" => text(TextSize::Text(0xff_ffff)),
            "longtext" => text(TextSize::Text(0xffff_ffff)),
            "binary" => bytes(number(0).unwrap_or(1), true),
            "varbinary" => bytes(number(0).unwrap_or(0), false),
            "tinyblob" => bytes(0xff, false),
            "blob" => bytes(0xffff, false),
            "mediumblob" => bytes(0xff_ffff, false),
            "longblob" => bytes(0xffff_ffff, false),
            "date" => Self::Date,
            "year" => Self::Year,
            "datetime" => Self::DateTime(digits),
            "timestamp" => Self::Timestamp(digits),
            "time" => Self::Time(digits),
            "bit" => Self::Bit(number(0).and_then(|n| u32::try_from(n).ok()).unwrap_or(1)),
            "enum" => Self::Enum {
                charset: Charset::of(column),
                labels: labels(declared),
            },
            "set" => Self::Set {
                charset: Charset::of(column),
                labels: labels(declared),
            },
            "json" => Self::Json,
            "uuid" => Self::Uuid,
            _ => Self::Other,
        }
    }

    /// Whether values of the type are read exactly.
    pub const fn is_readable(&self) -> bool {
        !matches!(self, Self::Other)
    }

    /// Whether the type stores any value unchanged. The server stores JSON in its own form, and a float that is declared
    /// with digits rounds.
    pub const fn is_writable(&self) -> bool {
        !matches!(
            self,
            Self::Other | Self::Json | Self::Float { is_scaled: true, .. }
        )
    }
}

impl Charset {
    fn of(column: &TableColumn) -> Self {
        let collation = column.collation.as_deref().unwrap_or(BINARY_COLLATION);
        let name = collation.split('_').next().unwrap_or(collation);
        Self {
            name: name.to_owned(),
            collation: collation.to_owned(),
        }
    }

    pub fn is_utf8mb4(&self) -> bool {
        self.name == "utf8mb4"
    }

    /// Whether the set is known to contain every character of a string; `false` if in doubt.
    pub fn holds(&self, text: &str) -> bool {
        match self.name.as_str() {
            "utf8mb4" | "utf16" | "utf16le" | "utf32" => true,
            "utf8" | "utf8mb3" | "ucs2" => text.chars().all(|c| u32::from(c) <= 0xffff),
            "latin1" => text
                .chars()
                .all(|c| matches!(u32::from(c), 0..=0x7f | 0xa0..=0xff) || LATIN1_LETTERS.contains(c)),
            _ => text.is_ascii(),
        }
    }

    /// Maximum number of bytes of a string in the set.
    pub fn bytes_of(&self, text: &str) -> u64 {
        let bytes = match self.name.as_str() {
            "utf8mb4" | "utf8" | "utf8mb3" => text.len(),
            "latin1" | "ascii" => text.chars().count(),
            _ => text.chars().count() * 4,
        };
        bytes as u64
    }
}

/// Returns the labels of an enumeration or a set, in their order; empty for other types.
pub fn labels(declared: &str) -> Vec<String> {
    let inner = match declared.split_once('(') {
        Some(("enum" | "set", _)) => arguments(&declared[declared.find('(').unwrap_or(0)..]).0,
        Some(_) | None => return Vec::new(),
    };
    let mut labels = Vec::new();
    let mut rest = inner;
    while let Some(begun) = rest.strip_prefix('\'') {
        let mut label = String::new();
        let mut letters = begun.char_indices().peekable();
        let mut end = begun.len();
        while let Some((at, letter)) = letters.next() {
            if letter != '\'' {
                label.push(letter);
            } else if letters.peek().is_some_and(|(_, next)| *next == '\'') {
                letters.next();
                label.push('\'');
            } else {
                end = at + 1;
                break;
            }
        }
        labels.push(label);
        rest = begun[end..].trim_start_matches(',');
    }
    labels
}

/// Returns the content of the parentheses at the beginning of `text`, and the rest after them.
fn arguments(text: &str) -> (&str, &str) {
    let Some(inner) = text.strip_prefix('(') else {
        return ("", text);
    };
    let mut is_quoted = false;
    for (at, letter) in inner.char_indices() {
        match letter {
            '\'' => is_quoted = !is_quoted,
            ')' if !is_quoted => return (&inner[..at], &inner[at + 1..]),
            _ => {}
        }
    }
    (inner, "")
}

fn integer(bits: u32, is_unsigned: bool) -> ColumnType {
    let (min, max) = if is_unsigned {
        (0, (1_i128 << bits) - 1)
    } else {
        (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1)
    };
    ColumnType::Int { min, max }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(declared: &str, collation: Option<&str>) -> TableColumn {
        TableColumn {
            name: "c".to_owned(),
            declared_type: declared.to_owned(),
            nullable: true,
            generated: false,
            primary_key: false,
            unique: false,
            collation: collation.map(ToOwned::to_owned),
            base_type: None,
            labels: Vec::new(),
        }
    }

    #[test]
    fn parses_declared_types_as_printed_by_servers() {
        let of = |declared: &str| ColumnType::of(&column(declared, None));
        assert_eq!(of("bigint(20) unsigned"), integer(64, true));
        assert_eq!(of("int(5) unsigned zerofill"), integer(32, true));
        assert_eq!(
            of("mediumint"),
            ColumnType::Int {
                min: -8_388_608,
                max: 8_388_607
            }
        );
        let decimal = ColumnType::Decimal {
            precision: 65,
            scale: 30,
            is_unsigned: false,
        };
        assert_eq!(of("decimal(65,30)"), decimal);
        assert_eq!(
            of("datetime(6) on update CURRENT_TIMESTAMP(6)"),
            ColumnType::DateTime(6)
        );
        assert_eq!(of("timestamp"), ColumnType::Timestamp(0));
        assert_eq!(of("bit(64)"), ColumnType::Bit(64));
        assert_eq!(of("geometry"), ColumnType::Other);
        assert_eq!(of("inet6"), ColumnType::Other);
        assert_eq!(
            labels("enum('a','it''s','x,y)','''')"),
            ["a", "it's", "x,y)", "'"]
        );
        assert_eq!(labels("varchar(3)"), Vec::<String>::new());
    }

    #[test]
    fn charset_accepts_only_its_own_characters() {
        let holds = |collation: &str, text: &str| {
            let ColumnType::Text { charset, .. } = ColumnType::of(&column("varchar(9)", Some(collation)))
            else {
                return false;
            };
            charset.holds(text)
        };
        assert!(holds("latin1_swedish_ci", "Zoë € ÿ"));
        assert!(!holds("latin1_swedish_ci", "Ł"));
        assert!(!holds("latin1_swedish_ci", "\u{81}"));
        assert!(holds("utf8mb3_general_ci", "Łód"));
        assert!(!holds("utf8mb3_general_ci", "\u{1F600}"));
        assert!(holds("utf8mb4_0900_ai_ci", "\u{1F600}"));
        assert!(!holds("sjis_japanese_ci", "日"));
    }
}
