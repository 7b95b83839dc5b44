//! Random bytes from the operating system: the only source of randomness in the workspace.

use std::fmt::Write as _;

/// Fills `out` with unpredictable bytes.
///
/// # Panics
/// When the operating system provides no randomness; no process can work without it.
pub fn fill(out: &mut [u8]) {
    getrandom::fill(out).expect("the operating system provides randomness");
}

/// Returns `N` unpredictable bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    fill(&mut out);
    out
}

/// Returns an unpredictable number.
pub fn number() -> u64 {
    u64::from_le_bytes(bytes())
}

/// Returns `digits` unpredictable lower-case hex digits.
pub fn hex_id(digits: usize) -> String {
    let mut raw = vec![0; digits.div_ceil(2)];
    fill(&mut raw);
    let mut text = String::with_capacity(raw.len() * 2);
    for byte in raw {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_id_has_exactly_the_requested_digits() {
        for digits in [0, 1, 19, 20, 32] {
            let id = hex_id(digits);
            assert_eq!(id.len(), digits);
            assert!(
                id.bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            );
        }
    }

    #[test]
    fn two_draws_differ() {
        assert_ne!(bytes::<16>(), bytes::<16>());
    }
}
