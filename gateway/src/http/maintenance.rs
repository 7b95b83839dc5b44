//! Background tasks: close expired sessions, evict idle callers, reload changed files.

use std::sync::Arc;
use std::time::Duration;

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::files::FileWatch;
use synapsor_chassis::run::ExitError;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::admission::RequestLimiter;
use super::sessions::Sessions;
use super::static_tokens::StaticTokens;
use super::tls::ServerTls;

const FILES_EVERY: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// State that the background tasks maintain.
pub(super) struct MaintenanceTask {
    pub(super) admission: Arc<RequestLimiter>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) tokens: Option<Arc<StaticTokens>>,
    pub(super) tls: Option<Arc<ServerTls>>,
}

/// Watched files and the result of their last reload, so that a broken file is logged once.
struct ReloadState {
    files: FileWatch,
    is_broken: bool,
}

impl ReloadState {
    fn new(files: FileWatch) -> Self {
        Self {
            files,
            is_broken: false,
        }
    }

    fn refresh(&mut self, what: &'static str, read: impl FnOnce() -> Result<(), ExitError>) {
        if !self.files.may_have_changed(SystemClock.now_ms()) {
            return;
        }
        let outcome = read();
        match &outcome {
            Err(failure) if !self.is_broken => {
                tracing::error!(
                    what,
                    code = %failure.code(),
                    "file reload failed; keeping the previous version"
                );
            }
            Ok(()) if self.is_broken => tracing::info!(what, "file reload succeeded after a failure"),
            Ok(()) | Err(_) => {}
        }
        self.is_broken = outcome.is_err();
    }
}

impl MaintenanceTask {
    /// Runs until `stop` is canceled.
    pub(super) async fn keep(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(FILES_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut swept = Instant::now();
        let mut token_file = self
            .tokens
            .as_ref()
            .and_then(|tokens| tokens.watch())
            .map(ReloadState::new);
        let mut certificate = self.tls.as_ref().map(|tls| ReloadState::new(tls.watch()));
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            if let (Some(tokens), Some(file)) = (&self.tokens, &mut token_file) {
                file.refresh("tokens", || self.read_tokens(tokens));
            }
            if let (Some(tls), Some(files)) = (&self.tls, &mut certificate) {
                files.refresh("certificate", || tls.read_again());
            }
            if swept.elapsed() >= SWEEP_EVERY {
                swept = Instant::now();
                self.sessions.sweep();
                self.admission.callers.sweep();
            }
        }
    }

    fn read_tokens(&self, tokens: &StaticTokens) -> Result<(), ExitError> {
        for caller in tokens.reload()? {
            tracing::info!(
                caller = caller.key(),
                "static token removed; closing its sessions"
            );
            self.sessions.close_of(caller.key());
        }
        Ok(())
    }
}
