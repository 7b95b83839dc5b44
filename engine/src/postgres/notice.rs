//! Captures server warnings during one piece of work. The driver only logs them, so they are read from its
//! log.

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;

use tracing::instrument::WithSubscriber as _;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// Log target of the driver for server notices.
const NOTICES: &str = "sqlx::postgres::notice";

tokio::task_local! {
    static IS_WARNED: Cell<bool>;
}

/// Runs `work` and reports whether the server warned meanwhile.
pub async fn with_warnings<T>(work: impl Future<Output = T>) -> (T, bool) {
    static CATCHER: OnceLock<Dispatch> = OnceLock::new();
    let catcher = CATCHER.get_or_init(|| Dispatch::new(Catcher));
    let noted = async {
        let done = work.await;
        (done, IS_WARNED.with(Cell::get))
    };
    IS_WARNED
        .scope(Cell::new(false), noted.with_subscriber(catcher.clone()))
        .await
}

struct Catcher;

impl fmt::Debug for Catcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Catcher")
    }
}

impl Subscriber for Catcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == NOTICES && *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        if self.enabled(event.metadata()) {
            // Warnings outside of `with_warnings` are not needed.
            let _ = IS_WARNED.try_with(|warned| warned.set(true));
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::with_warnings;

    #[tokio::test]
    async fn only_server_warnings_are_reported() {
        let (done, is_warned) = with_warnings(async { 7 }).await;
        assert_eq!((done, is_warned), (7, false));
        let quiet = async {
            tracing::info!(target: "sqlx::postgres::notice", "a notice");
            tracing::warn!(target: "sqlx::query", "a slow statement");
        };
        assert!(!with_warnings(quiet).await.1);
        let loud = async {
            tokio::task::yield_now().await;
            tracing::warn!(target: "sqlx::postgres::notice", "a warning");
        };
        assert!(with_warnings(loud).await.1);
        assert!(!with_warnings(async {}).await.1);
    }
}
