//! Guard: the version column can distinguish two states of the row; rates its strength.

use synapsor_codes::ErrorCode;

use crate::contract::EngineKind;
use crate::contract::XMIN;
use crate::error::PublicError;
use crate::proposal::GuardStrength;
use crate::schema::TableColumn;
use crate::value::{Value, ValueKind};

/// Minimum number of fractional second digits for a time column to be more than a weak guard.
const FRACTION_DIGITS: usize = 6;
/// Reason why a JSON column cannot be a guard.
const JSON_HAS_MANY_FORMS: &str = "the same JSON can be written in many ways";

/// Returns the guard strength of a column that holds this value.
///
/// # Errors
/// `CONFLICT_GUARD_UNFIT` for a type whose values are not compared exactly, or that has too few of them.
pub fn guard_strength(
    engine: EngineKind,
    column: &TableColumn,
    value: &Value,
) -> Result<GuardStrength, PublicError> {
    if engine == EngineKind::Postgres && column.name == XMIN {
        return Ok(GuardStrength::Strong);
    }
    let declared = column.base_type.as_deref().unwrap_or(&column.declared_type);
    if declared.to_ascii_lowercase().contains("json") {
        return Err(unfit(column, JSON_HAS_MANY_FORMS));
    }
    match value.kind() {
        ValueKind::Int | ValueKind::Dec => Ok(GuardStrength::Strong),
        ValueKind::Ts | ValueKind::Tstz => Ok(of_fraction(declared_fraction(engine, declared))),
        ValueKind::Text => Ok(text_fraction(value).map_or(GuardStrength::Medium, of_fraction)),
        ValueKind::Bytes | ValueKind::Uuid => Ok(GuardStrength::Medium),
        ValueKind::Date | ValueKind::Time => Ok(GuardStrength::Weak),
        ValueKind::Float => Err(unfit(column, "a binary float is rounded")),
        ValueKind::Json => Err(unfit(column, JSON_HAS_MANY_FORMS)),
        ValueKind::Bool => Err(unfit(column, "two changes bring a boolean back to where it was")),
        ValueKind::Null => Err(unfit(column, "it is null")),
    }
}

fn unfit(column: &TableColumn, why: &str) -> PublicError {
    let text = format!(
        "`{}` ({}) cannot be a version column: {why}; use an integer or timestamp column that changes on every update.",
        column.name, column.declared_type
    );
    PublicError::new(ErrorCode::ConflictGuardUnfit, text)
}

const fn of_fraction(digits: usize) -> GuardStrength {
    if digits >= FRACTION_DIGITS {
        GuardStrength::Medium
    } else {
        GuardStrength::Weak
    }
}

/// Returns the fractional second digits of a type: `datetime(6)`, `timestamp(3) with time zone`.
fn declared_fraction(engine: EngineKind, declared: &str) -> usize {
    let written = declared
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')')?.0.trim().parse().ok());
    written.unwrap_or(if engine == EngineKind::Postgres {
        FRACTION_DIGITS
    } else {
        0
    })
}

/// Returns the fractional second digits of a time stored as text, for databases without a time type.
pub(crate) fn text_fraction(value: &Value) -> Option<usize> {
    let text = value.as_text()?;
    let (date, time) = (text.get(..10)?, text.get(11..)?);
    let shaped = |text: &str, like: &str| {
        text.len() == like.len()
            && text.bytes().zip(like.bytes()).all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                _ => byte == shape,
            })
    };
    let is_time = shaped(date, "0000-00-00")
        && matches!(text.as_bytes()[10], b' ' | b'T')
        && shaped(time.get(..8)?, "00:00:00");
    if !is_time {
        return None;
    }
    let fraction = time[8..].strip_prefix('.').unwrap_or_default();
    Some(fraction.bytes().take_while(u8::is_ascii_digit).count())
}
