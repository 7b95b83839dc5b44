//! Logs to stderr, as text or JSON, with secrets redacted from every finished line. It never writes to stdout,
//! which carries protocols and results.

pub mod redact;

use std::io::{self, Write};
use std::str::FromStr;

use synapsor_codes::ErrorCode;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use tracing::Level;

use crate::run::ExitError;
use crate::settings::{EnvVars, SettingError};

/// Format of log lines: `text` (default) or `json`.
pub const LOG_FORMAT: &str = "SYNAPSOR_LOG_FORMAT";
/// Minimum log level: `error`, `warn`, `info`, `debug` or `trace`.
pub const LOG_LEVEL: &str = "SYNAPSOR_LOG_LEVEL";

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Human-readable.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("expected text or json"),
        }
    }
}

/// Log settings of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// Format of log lines.
    pub format: LogFormat,
    /// Minimum level of the workspace's crates. Libraries log from `warn` up.
    pub level: Level,
}

impl LogSettings {
    /// Reads format and level from [`LOG_FORMAT`] and [`LOG_LEVEL`]; defaults to text and `default_level`.
    ///
    /// # Errors
    /// When a variable has an invalid value.
    pub fn from_environment(env: &EnvVars, default_level: Level) -> Result<Self, SettingError> {
        Ok(Self {
            format: env.choose(None, LOG_FORMAT, LogFormat::default())?,
            level: env.choose(None, LOG_LEVEL, default_level)?,
        })
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// When logging is already started.
pub fn init(settings: LogSettings) -> Result<(), ExitError> {
    let filter = Targets::new()
        .with_default(LevelFilter::WARN.min(settings.level.into()))
        .with_target("synapsor", settings.level);
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(ScrubbedStderr)
        .with_ansi(false);
    let started = match settings.format {
        LogFormat::Text => registry.with(layer).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    started.map_err(|_| {
        ExitError::new(
            ErrorCode::LoggingStartedTwice,
            "logging was started twice in one process",
        )
    })
}

/// Creates writers that redact each line before it reaches stderr.
#[derive(Debug, Clone, Copy)]
struct ScrubbedStderr;

impl<'a> MakeWriter<'a> for ScrubbedStderr {
    type Writer = Scrubbing<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        Scrubbing(io::stderr())
    }
}

/// Redacts each write. A write must contain a whole line, as the subscriber's writes do: a secret split over two
/// writes would not be detected.
struct Scrubbing<W>(W);

impl<W: Write> Write for Scrubbing<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let mut clean = redact::redact(text.strip_suffix('\n').unwrap_or(&text));
        clean.push('\n');
        self.0.write_all(clean.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
pub(crate) mod tests;
