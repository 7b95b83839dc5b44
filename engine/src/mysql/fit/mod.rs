//! Decides which values a column stores unchanged: without rounding, clipping, casts or padding.

use synapsor_domain::decimal::Decimal;
use synapsor_domain::error::PublicError;
use synapsor_domain::limits::VALUE_BYTES_MAX;
use synapsor_domain::schema::TableColumn;
use synapsor_domain::value::{Value, ValueKind};

use super::column::{Charset, ColumnType, TextSize};
use super::datetime;
use crate::byte_text::{BYTES_FORM, bytes_of_text};
use crate::misfit::{NUL_CHARACTER, NUMBERS, WHOLE_NUMBERS, kind_misfit, misfit, unwritable};

/// Range of a YEAR column.
const YEARS: std::ops::RangeInclusive<i128> = 1901..=2155;

/// Returns the value exactly as the column would store it.
pub fn fit(column: &TableColumn, value: &Value) -> Result<Value, PublicError> {
    let misfit = |why: &str| misfit(column, why);
    if value.len_bytes() > VALUE_BYTES_MAX {
        return Err(misfit("the value is too large"));
    }
    if column.generated {
        return Err(misfit("it is computed by the database"));
    }
    let Some(text) = value.as_text() else {
        return if column.nullable {
            Ok(Value::null())
        } else {
            Err(misfit("it must not be NULL"))
        };
    };
    held(&ColumnType::of(column), value.kind(), text).map_err(|why| match why {
        FitError::Because(why) => misfit(why),
        FitError::Kind => kind_misfit(column, value.kind()),
        FitError::Type => unwritable(column),
    })
}

enum FitError {
    Because(&'static str),
    /// The column does not store values of this kind.
    Kind,
    /// The column stores no value unchanged.
    Type,
}

type Fitted = Result<Value, FitError>;

fn held(column: &ColumnType, kind: ValueKind, text: &str) -> Fitted {
    use ValueKind as Kind;
    match (column, kind) {
        (ColumnType::Int { min, max }, _) => integer(kind, text, *min, *max),
        (ColumnType::Year, Kind::Int | Kind::Text) => integer(kind, text, *YEARS.start(), *YEARS.end()),
        (
            ColumnType::Decimal {
                precision,
                scale,
                is_unsigned,
            },
            Kind::Int | Kind::Dec | Kind::Text,
        ) => {
            let exact = decimal(text, *precision, *scale, *is_unsigned)?;
            if kind == Kind::Text && exact != text {
                return Err(FitError::Because(
                    "a number as text must be written as the column shows it",
                ));
            }
            Ok(Value::exact(Kind::Dec, exact))
        }
        // FLOAT(M,D) and DOUBLE(M,D) round values, the server stores JSON in its own form, and unknown types are not
        // written.
        (ColumnType::Float { is_scaled: true, .. } | ColumnType::Json | ColumnType::Other, _) => {
            Err(FitError::Type)
        }
        (
            ColumnType::Float {
                is_double,
                is_unsigned,
                ..
            },
            Kind::Int | Kind::Dec | Kind::Float,
        ) => float(text, *is_double, *is_unsigned, kind),
        (ColumnType::Text { charset, size }, Kind::Text) => words(charset, *size, text),
        (ColumnType::Bytes { bytes_max, is_fixed }, Kind::Bytes | Kind::Text) => {
            let value = bytes_of_text(text).ok_or(FitError::Because(BYTES_FORM))?;
            bytes(value, *bytes_max, *is_fixed)
        }
        (
            ColumnType::Date | ColumnType::DateTime(_) | ColumnType::Timestamp(_) | ColumnType::Time(_),
            Kind::Date | Kind::Ts | Kind::Tstz | Kind::Time | Kind::Text,
        ) => moment_of(column, kind, text),
        (ColumnType::Bit(width), _) => bits(kind, text, *width),
        (ColumnType::Enum { charset, labels }, Kind::Text) => {
            if labels.iter().any(|label| label == text) && charset.holds(text) && !text.is_empty() {
                Ok(Value::text(text))
            } else {
                Err(FitError::Because("must match an enum label exactly"))
            }
        }
        (ColumnType::Set { charset, labels }, Kind::Text) => set(charset, labels, text),
        (ColumnType::Uuid, Kind::Uuid | Kind::Text) => uuid(text),
        (
            ColumnType::Year
            | ColumnType::Decimal { .. }
            | ColumnType::Float { .. }
            | ColumnType::Text { .. }
            | ColumnType::Bytes { .. }
            | ColumnType::Date
            | ColumnType::DateTime(_)
            | ColumnType::Timestamp(_)
            | ColumnType::Time(_)
            | ColumnType::Enum { .. }
            | ColumnType::Set { .. }
            | ColumnType::Uuid,
            _,
        ) => Err(FitError::Kind),
    }
}

/// Checks dates, timestamps and times, each in its own column type.
fn moment_of(column: &ColumnType, kind: ValueKind, text: &str) -> Fitted {
    use ValueKind as Kind;
    match (column, kind) {
        (ColumnType::Date, Kind::Date | Kind::Text) => datetime::date(text)
            .map(|date| Value::exact(Kind::Date, date))
            .ok_or(FitError::Because("it takes a day as YYYY-MM-DD, from 1000-01-01")),
        (ColumnType::DateTime(digits), Kind::Ts | Kind::Text) => datetime::date_time(text, *digits)
            .map(|moment| Value::exact(Kind::Ts, moment))
            .ok_or(FitError::Because(
                "it takes YYYY-MM-DD HH:MM:SS without a zone and with no more digits of a second than it is declared with",
            )),
        (ColumnType::Timestamp(digits), Kind::Tstz | Kind::Text) => datetime::timestamp(text, *digits)
            .map(|moment| Value::exact(Kind::Tstz, moment))
            .ok_or(FitError::Because(
                "it takes YYYY-MM-DD HH:MM:SSZ between 1970 and 2038 with no more digits of a second than it is declared with",
            )),
        (ColumnType::Time(digits), Kind::Time | Kind::Text) => datetime::time(text, *digits)
            .map(|time| Value::exact(Kind::Time, time))
            .ok_or(FitError::Because(
                "it takes HH:MM:SS up to 838:59:59 with no more digits of a second than it is declared with",
            )),
        _ => Err(FitError::Kind),
    }
}

fn integer(kind: ValueKind, text: &str, min: i128, max: i128) -> Fitted {
    let number = match kind {
        ValueKind::Bool => Some(i128::from(text == "true")),
        ValueKind::Int => text.parse::<i128>().ok(),
        ValueKind::Text => {
            let number = text.parse::<i128>().ok().filter(|n| n.to_string() == text);
            Some(number.ok_or(FitError::Because(WHOLE_NUMBERS))?)
        }
        ValueKind::Dec => return Err(FitError::Because("it holds whole numbers")),
        ValueKind::Null
        | ValueKind::Float
        | ValueKind::Bytes
        | ValueKind::Ts
        | ValueKind::Tstz
        | ValueKind::Date
        | ValueKind::Time
        | ValueKind::Uuid
        | ValueKind::Json => return Err(FitError::Kind),
    };
    match number {
        Some(number) if (min..=max).contains(&number) => Ok(Value::int(number)),
        Some(_) | None => Err(FitError::Because("the number is beyond its range")),
    }
}

/// Returns the digits as the column would print them.
fn decimal(text: &str, precision: usize, scale: usize, is_unsigned: bool) -> Result<String, FitError> {
    let wrong = FitError::Because(NUMBERS);
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_plain = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !is_plain(whole) || !is_plain(part) {
        return Err(wrong);
    }
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    if part.len() > scale {
        return Err(FitError::Because("it would round the number"));
    }
    if whole.len() > precision.saturating_sub(scale) {
        return Err(FitError::Because("the number is beyond its range"));
    }
    let is_zero = whole.is_empty() && part.is_empty();
    if is_unsigned && !sign.is_empty() && !is_zero {
        return Err(FitError::Because("it holds no negative numbers"));
    }
    let sign = if is_zero { "" } else { sign };
    let whole = if whole.is_empty() { "0" } else { whole };
    if scale == 0 {
        return Ok(format!("{sign}{whole}"));
    }
    Ok(format!("{sign}{whole}.{part:0<scale$}"))
}

/// Checks a binary float. It stores few decimals exactly; one is accepted if it reads back as the same
/// decimal.
fn float(text: &str, is_double: bool, is_unsigned: bool, kind: ValueKind) -> Fitted {
    let shown = if is_double {
        text.parse::<f64>()
            .ok()
            .filter(|f| f.is_finite())
            .map(|f| (f < 0.0, format!("{f:?}"), f.to_string()))
    } else {
        text.parse::<f32>()
            .ok()
            .filter(|f| f.is_finite())
            .map(|f| (f < 0.0, format!("{f:?}"), f.to_string()))
    };
    let Some((is_negative, shortest, plain)) = shown else {
        return Err(FitError::Because("the number is beyond its range"));
    };
    if shortest == "-0.0" {
        // MariaDB does not store the sign of zero; exact numbers have none.
        return match kind {
            ValueKind::Float => Err(FitError::Because("it loses the sign of zero")),
            _ => Ok(Value::exact(ValueKind::Float, "0.0")),
        };
    }
    if is_unsigned && is_negative {
        return Err(FitError::Because("it holds no negative numbers"));
    }
    let is_same = match kind {
        ValueKind::Float => shortest == text,
        _ => Decimal::parse(&plain).is_ok_and(|held| Decimal::parse(text).as_ref() == Ok(&held)),
    };
    if is_same {
        Ok(Value::exact(ValueKind::Float, shortest))
    } else {
        Err(FitError::Because("it would round the number"))
    }
}

fn words(charset: &Charset, size: TextSize, text: &str) -> Fitted {
    if text.contains('\0') {
        return Err(FitError::Because(NUL_CHARACTER));
    }
    if !charset.holds(text) {
        return Err(FitError::Because(
            "its character set does not contain every character of the string",
        ));
    }
    let chars = text.chars().count() as u64;
    match size {
        TextSize::Char(_) if text.ends_with(' ') => Err(FitError::Because("it loses trailing blanks")),
        TextSize::Char(max) | TextSize::Varchar(max) if chars > max => {
            Err(FitError::Because("the string has more characters than it holds"))
        }
        TextSize::Text(max) if charset.bytes_of(text) > max => {
            Err(FitError::Because("the string has more bytes than it holds"))
        }
        TextSize::Char(_) | TextSize::Varchar(_) | TextSize::Text(_) => Ok(Value::text(text)),
    }
}

fn bytes(value: Value, bytes_max: u64, is_fixed: bool) -> Fitted {
    let len = (value.as_text().map_or(0, str::len) / 2) as u64;
    if len > bytes_max {
        return Err(FitError::Because("the value has more bytes than it holds"));
    }
    if is_fixed && len < bytes_max {
        return Err(FitError::Because("it pads shorter values with zeros"));
    }
    Ok(value)
}

fn bits(kind: ValueKind, text: &str, width: u32) -> Fitted {
    let wide = width as usize;
    let shown = match kind {
        ValueKind::Bool if width == 1 => Some(if text == "true" { "1" } else { "0" }.to_owned()),
        ValueKind::Int => text
            .parse::<u64>()
            .ok()
            .map(|number| format!("{number:0wide$b}"))
            .filter(|shown| shown.len() == wide),
        ValueKind::Text if text.len() == wide && text.bytes().all(|b| matches!(b, b'0' | b'1')) => {
            Some(text.to_owned())
        }
        _ => None,
    };
    shown
        .map(Value::text)
        .ok_or(FitError::Because("it takes as many digits 0 and 1 as it is wide"))
}

fn set(charset: &Charset, labels: &[String], text: &str) -> Fitted {
    let mut rest = labels.iter();
    // The server reorders members and drops duplicates.
    let is_ordered = text.is_empty() || text.split(',').all(|member| rest.any(|label| label == member));
    if is_ordered && charset.holds(text) {
        Ok(Value::text(text))
    } else {
        Err(FitError::Because(
            "must list set labels exactly, each once and in declared order",
        ))
    }
}

fn uuid(text: &str) -> Fitted {
    let is_shaped = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        });
    if is_shaped {
        Ok(Value::exact(ValueKind::Uuid, text))
    } else {
        Err(FitError::Because("it takes a UUID in lower-case hex with dashes"))
    }
}

#[cfg(test)]
mod tests;
