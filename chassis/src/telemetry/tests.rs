//! Tests of the log format.

use std::sync::{Arc, Mutex};

use synapsor_codes::ErrorCode;

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns what `log` logs on this thread.
pub(crate) fn logged(json: bool, log: impl FnOnce()) -> String {
    let lines = Lines::default();
    let sink = lines.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(move || Scrubbing(sink.clone()))
        .with_ansi(false);
    if json {
        let subscriber = tracing_subscriber::registry().with(layer.json().flatten_event(true));
        tracing::subscriber::with_default(subscriber, log);
    } else {
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
    }
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn secrets_never_reach_a_log_line_in_both_formats() {
    for json in [false, true] {
        let out = logged(json, || {
            let url = "postgres://app:hunter2@db/x";
            let span = tracing::info_span!("work", %url);
            let _inside = span.enter();
            let key = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----";
            tracing::info!(url, ?key, token = "hunter2", "Bearer hunter2 for syn_wbr_hunter2");
        });
        assert!(!out.contains("hunter2"), "{out}");
        assert!(out.contains("[redacted]"));
    }
}

#[test]
fn one_event_is_one_line_even_with_embedded_line_ends() {
    for json in [false, true] {
        let out = logged(json, || {
            tracing::warn!(field = "a\nerror[FAKE]: b", "first\nsecond\u{1b}[0m")
        });
        assert_eq!(out.lines().count(), 1, "{out}");
        assert!(!out.contains('\u{1b}'));
    }
}

#[test]
fn unknown_level_or_format_is_a_setting_error() {
    for pair in [(LOG_LEVEL, "loud"), (LOG_FORMAT, "xml")] {
        let error = LogSettings::from_environment(&EnvVars::fixed([pair]), Level::INFO).unwrap_err();
        assert_eq!(error.code(), ErrorCode::SettingInvalid);
    }
    let env = EnvVars::fixed([(LOG_LEVEL, "debug"), (LOG_FORMAT, "json")]);
    let settings = LogSettings::from_environment(&env, Level::INFO).unwrap();
    assert_eq!(
        settings,
        LogSettings {
            format: LogFormat::Json,
            level: Level::DEBUG
        }
    );
}
