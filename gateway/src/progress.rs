//! Progress notifications during long calls, for clients that request them.

use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext};

/// Interval between notifications; faster calls send none.
const EVERY: Duration = Duration::from_secs(2);

/// Progress token and client connection, if the client requested progress.
#[derive(Debug)]
pub(crate) struct ProgressNotifier {
    asked: Option<(ProgressToken, Peer<RoleServer>)>,
}

impl ProgressNotifier {
    pub(crate) fn of(context: &RequestContext<RoleServer>) -> Self {
        let token = context.meta.get_progress_token();
        Self {
            asked: token.map(|token| (token, context.peer.clone())),
        }
    }

    /// Sends progress every few seconds; returns only when the client is disconnected.
    pub(crate) async fn report(&mut self) {
        let Some((token, peer)) = &self.asked else {
            return std::future::pending().await;
        };
        let mut seconds = 0.0;
        loop {
            tokio::time::sleep(EVERY).await;
            seconds += EVERY.as_secs_f64();
            let sign = ProgressNotificationParam::new(token.clone(), seconds)
                .with_message("seconds; waiting for the database and the ledger");
            if peer.notify_progress(sign).await.is_err() {
                return;
            }
        }
    }
}
