//! Statistics of a measurement, computed from single calls.

use std::time::Duration;

use serde_json::{Value as Json, json};

/// Every call of one measurement.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Latencies of the successful calls, in microseconds.
    pub(super) micros: Vec<u32>,
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
}

impl Calls {
    pub(super) fn good(&mut self, took: Duration) {
        self.micros
            .push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    pub(super) fn bad(&mut self, error: &anyhow::Error) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| format!("{error:#}"));
    }

    pub(super) fn add(&mut self, other: Self) {
        self.micros.extend(other.micros);
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }

    /// Rate per second, and percentiles in milliseconds.
    pub(super) fn figures(mut self, took: Duration) -> Json {
        self.micros.sort_unstable();
        let at = |hundredths: usize| {
            let last = self.micros.len().checked_sub(1)?;
            let micros = self.micros[(self.micros.len() * hundredths / 100).min(last)];
            Some(rounded(f64::from(micros) / 1_000.0, 3))
        };
        let mut figures = json!({
            "rate": rounded(self.micros.len() as f64 / took.as_secs_f64(), 1),
            "p50_ms": at(50),
            "p90_ms": at(90),
            "p99_ms": at(99),
            "errors": self.errors,
        });
        if let Some(text) = self.first_error {
            figures["first_error"] = text.into();
        }
        figures
    }
}

/// Rounds a number to `digits` decimal places.
pub(super) fn rounded(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (number * scale).round() / scale
}
