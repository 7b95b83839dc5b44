//! Decides before sending which values a column stores unchanged. The server would round numbers, truncate
//! strings in casts, pad with blanks, and sort the keys of JSON.

use serde_json::Value as Json;
use synapsor_domain::decimal::Decimal;
use synapsor_domain::error::PublicError;
use synapsor_domain::limits::VALUE_BYTES_MAX;
use synapsor_domain::schema::TableColumn;
use synapsor_domain::value::{Value, ValueKind};

use super::datetime;
use super::types::{Family, is_plain_number, is_uuid, underlying};
use crate::byte_text::{BYTES_FORM, bytes_of_text};
use crate::misfit::{NUL_CHARACTER, NUMBERS, WHOLE_NUMBERS, kind_misfit, misfit, unwritable};

/// Returns the value exactly as the column would store it.
pub fn fit(column: &TableColumn, value: &Value) -> Result<Value, PublicError> {
    if value.len_bytes() > VALUE_BYTES_MAX {
        return Err(misfit(column, "the value is too large"));
    }
    let Some(text) = value.as_text() else {
        return if column.nullable {
            Ok(Value::null())
        } else {
            Err(misfit(column, "it must not be NULL"))
        };
    };
    let family = Family::of(column);
    if !family.is_writable() {
        return Err(unwritable(column));
    }
    let fitted = match (value.kind(), family) {
        (ValueKind::Int | ValueKind::Dec | ValueKind::Text | ValueKind::Float, _) => {
            of_scalar(column, family, value.kind(), text)
        }
        (ValueKind::Bool, Family::Bool) => Ok(value.clone()),
        (ValueKind::Bytes, Family::Bytes) => Ok(value.clone()),
        (ValueKind::Uuid, Family::Uuid)
        | (ValueKind::Json, Family::Json | Family::Jsonb)
        | (ValueKind::Date, Family::Date)
        | (ValueKind::Time, Family::Time(_))
        | (ValueKind::Ts, Family::Timestamp(_))
        | (ValueKind::Tstz, Family::Timestamptz(_)) => of_text(column, family, text),
        _ => Err(kind_misfit(column, value.kind())),
    }?;
    if fitted.len_bytes() > VALUE_BYTES_MAX {
        return Err(misfit(column, "the value is too large"));
    }
    Ok(fitted)
}

fn of_scalar(
    column: &TableColumn,
    family: Family,
    kind: ValueKind,
    text: &str,
) -> Result<Value, PublicError> {
    match (kind, family) {
        (ValueKind::Int | ValueKind::Dec, Family::Int(bits)) => integer(column, bits, text),
        (ValueKind::Int | ValueKind::Dec, Family::Numeric(limits)) => numeric(column, limits, text),
        (ValueKind::Int | ValueKind::Dec | ValueKind::Float, Family::Float4) => {
            let held = text.parse::<f32>().ok().filter(|f| f.is_finite());
            float(column, text, held.map(|f| format!("{f:?}")))
        }
        (ValueKind::Int | ValueKind::Dec | ValueKind::Float, Family::Float8) => {
            let held = text.parse::<f64>().ok().filter(|f| f.is_finite());
            float(column, text, held.map(|f| format!("{f:?}")))
        }
        (ValueKind::Text, Family::Int(bits)) => match integer(column, bits, text) {
            Ok(number) if number.as_text() == Some(text) => Ok(number),
            Ok(_) | Err(_) => Err(misfit(column, WHOLE_NUMBERS)),
        },
        (ValueKind::Text, Family::Numeric(limits)) => match numeric(column, limits, text) {
            Ok(number) if number.as_text() == Some(text) => Ok(number),
            Ok(_) | Err(_) => Err(misfit(column, NUMBERS)),
        },
        (ValueKind::Text, _) => of_text(column, family, text),
        (kind, _) => Err(kind_misfit(column, kind)),
    }
}

fn of_text(column: &TableColumn, family: Family, text: &str) -> Result<Value, PublicError> {
    if text.contains('\0') {
        return Err(misfit(column, NUL_CHARACTER));
    }
    let formed = |kind, found: Option<String>, form: &str| match found {
        Some(text) => Ok(Value::exact(kind, text)),
        None => Err(misfit(column, &format!("it takes {form}"))),
    };
    match family {
        Family::Text(limit) => characters(column, text, limit),
        Family::Char(limit) if text.ends_with(' ') => Err(misfit(
            column,
            &format!("trailing blanks are not part of a value of `character({limit})`"),
        )),
        Family::Char(limit) => characters(column, text, Some(limit)),
        Family::Blanks if text.ends_with(' ') => Err(misfit(column, "it ignores trailing blanks")),
        Family::Blanks => Ok(Value::text(text)),
        Family::Enum if column.labels.iter().any(|label| label == text) => Ok(Value::text(text)),
        Family::Enum => Err(misfit(
            column,
            &format!("it is one of: {}", column.labels.join(", ")),
        )),
        Family::Uuid if is_uuid(text) => Ok(Value::exact(ValueKind::Uuid, text)),
        Family::Uuid => Err(misfit(column, "it takes a UUID in lower case with its hyphens")),
        Family::Date => formed(ValueKind::Date, datetime::date(text), "a date as 2026-01-31"),
        Family::Time(digits) => formed(
            ValueKind::Time,
            datetime::time(text, digits),
            &format!("a time as 13:05:59 with at most {digits} digits after the point"),
        ),
        Family::Timestamp(digits) => formed(
            ValueKind::Ts,
            datetime::timestamp(text, digits),
            &format!("2026-01-31 13:05:59 without a zone, with at most {digits} digits after the point"),
        ),
        Family::Timestamptz(digits) => formed(
            ValueKind::Tstz,
            datetime::timestamp_utc(text, digits),
            &format!("2026-01-31 13:05:59Z, in UTC, with at most {digits} digits after the point"),
        ),
        Family::Json => match serde_json::from_str::<Json>(text) {
            Ok(_) => Ok(Value::exact(ValueKind::Json, text)),
            Err(_) => Err(misfit(column, "invalid JSON")),
        },
        Family::Jsonb => jsonb(column, text),
        Family::Bytes => bytes_of_text(text).ok_or_else(|| misfit(column, BYTES_FORM)),
        Family::Bool
        | Family::Int(_)
        | Family::Numeric(_)
        | Family::Float4
        | Family::Float8
        | Family::Xid
        | Family::Oid
        | Family::Other => Err(kind_misfit(column, ValueKind::Text)),
    }
}

fn integer(column: &TableColumn, bits: u32, text: &str) -> Result<Value, PublicError> {
    let number = Decimal::parse(text).ok().filter(Decimal::is_integer);
    let Some(number) = number else {
        return Err(misfit(column, "it holds whole numbers"));
    };
    let limit = 1_i128 << (bits - 1);
    match number.as_str().parse::<i128>() {
        Ok(number) if (-limit..limit).contains(&number) => Ok(Value::int(number)),
        Ok(_) | Err(_) => Err(misfit(column, &format!("the number is beyond {bits} bits"))),
    }
}

/// Checks that the digits before and after the point fit without rounding; the server pads with zeros.
fn numeric(column: &TableColumn, limits: Option<(u32, i32)>, text: &str) -> Result<Value, PublicError> {
    let number = Decimal::parse(text).map_err(|_| misfit(column, "the number has too many digits"))?;
    let Some((precision, scale)) = limits else {
        // Trailing zeros are part of the value here.
        let exact = if is_plain_number(text) && !text.starts_with('-') {
            text
        } else {
            number.as_str()
        };
        return Ok(Value::exact(ValueKind::Dec, exact));
    };
    let plain = number.as_str();
    let (sign, digits) = plain
        .strip_prefix('-')
        .map_or(("", plain), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let places = usize::try_from(scale).unwrap_or(0);
    let zeros = usize::try_from(-i64::from(scale)).unwrap_or(0);
    let is_round = whole == "0" || whole.len() - whole.trim_end_matches('0').len() >= zeros;
    if fraction.len() > places || !is_round {
        return Err(misfit(
            column,
            &format!("it would round the number to {scale} places"),
        ));
    }
    let padded = format!("{whole}{fraction}{}", "0".repeat(places - fraction.len()));
    let significant = padded.trim_start_matches('0').len().saturating_sub(zeros);
    if significant > precision as usize {
        return Err(misfit(
            column,
            &format!("the number does not fit {}", underlying(column)),
        ));
    }
    let point = if places > 0 { "." } else { "" };
    let fraction = &padded[whole.len()..];
    Ok(Value::exact(
        ValueKind::Dec,
        format!("{sign}{whole}{point}{fraction}"),
    ))
}

/// Checks a binary float. It stores few decimals exactly; one is accepted if it reads back as the same
/// decimal.
fn float(column: &TableColumn, text: &str, held: Option<String>) -> Result<Value, PublicError> {
    match held {
        Some(held) if held == text => Ok(Value::exact(ValueKind::Float, held)),
        Some(held) if Decimal::parse(&held).is_ok_and(|h| Decimal::parse(text).as_ref() == Ok(&h)) => {
            Ok(Value::exact(ValueKind::Float, held))
        }
        Some(_) | None => Err(misfit(column, "it would round the number")),
    }
}

fn characters(column: &TableColumn, text: &str, limit: Option<usize>) -> Result<Value, PublicError> {
    match limit {
        Some(limit) if text.chars().count() > limit => {
            Err(misfit(column, &format!("it holds at most {limit} characters")))
        }
        Some(_) | None => Ok(Value::text(text)),
    }
}

/// Normalizes JSON. The server keeps no order, no spaces and no duplicate keys; the value is written as it
/// will be read.
fn jsonb(column: &TableColumn, text: &str) -> Result<Value, PublicError> {
    let json: Json = serde_json::from_str(text).map_err(|_| misfit(column, "invalid JSON"))?;
    let mut written = String::new();
    write_jsonb(&json, &mut written)
        .ok_or_else(|| misfit(column, "its JSON must not have exponents, negative zeros or NUL"))?;
    Ok(Value::exact(ValueKind::Json, written))
}

fn write_jsonb(json: &Json, out: &mut String) -> Option<()> {
    match json {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(number) => {
            let text = number.to_string();
            let is_negative_zero = text.starts_with('-') && !text.bytes().any(|b| matches!(b, b'1'..=b'9'));
            if !is_plain_number(&text) || is_negative_zero {
                return None;
            }
            out.push_str(&text);
        }
        Json::String(text) => write_string(text, out)?,
        Json::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_jsonb(item, out)?;
            }
            out.push(']');
        }
        Json::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| (key.len(), key.as_bytes()));
            out.push('{');
            for (at, (key, value)) in members.into_iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_string(key, out)?;
                out.push_str(": ");
                write_jsonb(value, out)?;
            }
            out.push('}');
        }
    }
    Some(())
}

fn write_string(text: &str, out: &mut String) -> Option<()> {
    if text.contains('\0') {
        return None;
    }
    out.push_str(&serde_json::to_string(text).ok()?);
    Some(())
}
