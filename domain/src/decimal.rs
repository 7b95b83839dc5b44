//! Exact decimal numbers of contracts and arguments: stored and compared as digits, never as floats.
//! Database values are not parsed here; they keep the exact text that the database returned.

use std::cmp::Ordering;
use std::fmt;

/// Maximum number of digits of a number after its exponent is expanded.
pub const DIGITS_MAX: usize = 128;

/// A number in canonical spelling: no exponent, no leading or trailing zeros, no negative zero.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Decimal {
    text: String,
}

/// Reason why a string is not a valid number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    #[error("it is not a JSON number")]
    NotANumber,
    #[error("it has more than {DIGITS_MAX} digits")]
    TooManyDigits,
}

impl Decimal {
    /// Parses a JSON number in any notation and expands its exponent.
    ///
    /// # Errors
    /// If the text does not follow JSON's number grammar, or has more than [`DIGITS_MAX`] digits written out.
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        let Parts {
            negative,
            whole,
            fraction,
            exponent,
        } = Parts::split(text)?;
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let leading = all.iter().take_while(|digit| **digit == b'0').count();
        let trailing = all.iter().rev().take_while(|digit| **digit == b'0').count();
        if leading == all.len() {
            return Ok(Self { text: "0".to_owned() });
        }
        let digits = &all[leading..all.len() - trailing];
        let digit_count = i64::try_from(digits.len()).map_err(|_| DecimalError::TooManyDigits)?;
        let before_point = i64::try_from(whole.len())
            .ok()
            .zip(i64::try_from(leading).ok())
            .and_then(|(whole, leading)| exponent?.checked_add(whole)?.checked_sub(leading))
            .ok_or(DecimalError::TooManyDigits)?;
        let after_point = digit_count.saturating_sub(before_point);
        let written_out = before_point.max(0).saturating_add(after_point.max(0));
        if written_out > DIGITS_MAX as i64 {
            return Err(DecimalError::TooManyDigits);
        }
        Ok(Self {
            text: write_out(negative, digits, before_point),
        })
    }

    pub fn from_u64(number: u64) -> Self {
        Self {
            text: number.to_string(),
        }
    }

    /// Returns the canonical spelling, for example `-12.5`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn is_integer(&self) -> bool {
        !self.text.contains('.')
    }

    /// The number if it is an integer from 0 to `u64::MAX`.
    pub fn to_u64(&self) -> Option<u64> {
        self.text.parse().ok()
    }

    fn magnitude(&self) -> (&str, &str) {
        let digits = self.text.strip_prefix('-').unwrap_or(&self.text);
        digits.split_once('.').unwrap_or((digits, ""))
    }
}

/// `digits` has no zeros at its ends; the point follows the first `before_point` of them (it may be outside the
/// digits).
fn write_out(negative: bool, digits: &[u8], before_point: i64) -> String {
    let sign = if negative { "-" } else { "" };
    let digits = String::from_utf8_lossy(digits);
    let count = digits.len();
    match usize::try_from(before_point) {
        Ok(point) if point >= count => format!("{sign}{digits}{}", "0".repeat(point - count)),
        Ok(point) if point > 0 => format!("{sign}{}.{}", &digits[..point], &digits[point..]),
        _ => format!(
            "{sign}0.{}{digits}",
            "0".repeat(before_point.unsigned_abs() as usize)
        ),
    }
}

struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    /// `None` if the exponent does not fit; only a zero is still valid then.
    exponent: Option<i64>,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Self, DecimalError> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
            Some(_) => return Err(DecimalError::NotANumber),
            None => (mantissa, ""),
        };
        if !is_digits(whole) || (whole.len() > 1 && whole.starts_with('0')) {
            return Err(DecimalError::NotANumber);
        }
        let exponent = match exponent {
            None => Some(0),
            Some(text) if is_digits(text.strip_prefix(['+', '-']).unwrap_or(text)) => text.parse().ok(),
            Some(_) => return Err(DecimalError::NotANumber),
        };
        Ok(Self {
            negative,
            whole,
            fraction,
            exponent,
        })
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let magnitudes = || {
            let (whole, fraction) = self.magnitude();
            let (other_whole, other_fraction) = other.magnitude();
            // Without leading zeros the longer integer part is larger; without trailing zeros a proper
            // prefix of a fraction is smaller, which is how text compares.
            (whole.len(), whole, fraction).cmp(&(other_whole.len(), other_whole, other_fraction))
        };
        match (self.text.starts_with('-'), other.text.starts_with('-')) {
            (false, false) => magnitudes(),
            (true, true) => magnitudes().reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(text: &str) -> String {
        Decimal::parse(text).unwrap().to_string()
    }

    #[test]
    fn each_notation_parses_to_the_canonical_spelling() {
        for (written, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.000e99999999999999999999", "0"),
            ("1e3", "1000"),
            ("1.50", "1.5"),
            ("100", "100"),
            ("12.340E-3", "0.01234"),
            ("-0.05e1", "-0.5"),
            ("9007199254740993", "9007199254740993"),
            ("1.5e1", "15"),
            ("5e-1", "0.5"),
            ("100e-2", "1"),
        ] {
            assert_eq!(plain(written), expected, "{written}");
        }
    }

    #[test]
    fn rejects_anything_but_bounded_json_numbers() {
        for text in [
            "", "-", "+1", "01", ".5", "1.", "1e", "1e+", "NaN", "Infinity", "0x10", "1_000", " 1", "١",
        ] {
            assert_eq!(Decimal::parse(text), Err(DecimalError::NotANumber), "{text}");
        }
        for text in [
            "1e400",
            "1e-400",
            "1e99999999999999999999",
            "-1E-9223372036854775808",
        ] {
            assert_eq!(Decimal::parse(text), Err(DecimalError::TooManyDigits), "{text}");
        }
        assert!(Decimal::parse(&"9".repeat(DIGITS_MAX)).is_ok());
        assert!(Decimal::parse(&"9".repeat(DIGITS_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn order_agrees_with_scaled_integers(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000,
                                             scale in 0_u32..6) {
            let number = |n: i64| Decimal::parse(&format!("{n}e-{scale}")).unwrap();
            prop_assert_eq!(number(a).cmp(&number(b)), a.cmp(&b));
            prop_assert_eq!(number(a) == number(b), a == b);
        }

        #[test]
        fn canonical_decimal_parses_to_itself(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?") {
            if let Ok(number) = Decimal::parse(&text) {
                let again = Decimal::parse(number.as_str()).unwrap();
                prop_assert_eq!(again.as_str(), number.as_str());
                prop_assert!(!number.as_str().contains(['e', 'E']));
            }
        }

        #[test]
        fn integers_of_any_size_compare_exactly(a in any::<i128>(), b in any::<i128>()) {
            let number = |n: i128| Decimal::parse(&n.to_string()).unwrap();
            prop_assert_eq!(number(a).cmp(&number(b)), a.cmp(&b));
        }

        #[test]
        fn decimal_parser_never_panics(text in "\\PC{0,40}") {
            let _unused = Decimal::parse(&text);
        }
    }
}
