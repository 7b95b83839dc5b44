//! Restarts the ledger for the processes of a supervisor: the first one that detects its exit starts another
//! one at the same address.

use std::time::{Duration, Instant};

use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::{self, Endpoint};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;

use super::budget::Budget;
use super::{RunningLedger, Supervisor};

const LOOK_EVERY: Duration = Duration::from_secs(1);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Watches one ledger for one supervisor.
#[derive(Debug)]
pub(crate) struct LedgerMonitor<'a> {
    supervisor: &'a Supervisor<'a>,
    address: std::net::SocketAddr,
    pid: u32,
    target: Endpoint,
    channel: Channel,
}

impl<'a> LedgerMonitor<'a> {
    pub(crate) fn new(supervisor: &'a Supervisor<'a>, ledger: &RunningLedger) -> Result<Self, ExitError> {
        let target = ledger.target();
        let tls = supervisor.instance.operator(&supervisor.context.env)?;
        let channel = grpc_channel::connect(&tls, &target)?;
        Ok(Self {
            supervisor,
            address: ledger.address,
            pid: ledger.pid,
            target,
            channel,
        })
    }

    /// Returns only when the restart budget is used up. The open connection keeps the ledger from exiting.
    pub(crate) async fn keep(&self) -> ExitError {
        let (mut budget, mut pid, mut started) = (Budget::default(), self.pid, Instant::now());
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if grpc_channel::check_health(&self.channel, &self.target, PROBE_TIMEOUT)
                .await
                .is_ok()
            {
                continue;
            }
            let failure = match self.supervisor.ledger().await {
                // The ledger only responded slowly.
                Ok(ledger) if ledger.pid == pid => continue,
                Ok(ledger) => {
                    if ledger.address == self.address {
                        tracing::warn!("ledger restarted");
                    } else {
                        tracing::warn!(address = %ledger.address, "ledger restarted at a different address");
                    }
                    pid = ledger.pid;
                    ExitError::new(
                        ErrorCode::ChildEnded,
                        "ledger repeatedly exits soon after its start",
                    )
                    .with_fix("check its log in the state directory")
                }
                Err(failure) => {
                    tracing::error!(code = %failure.code(), "{}", failure.message());
                    failure
                }
            };
            match budget.ended_after(started.elapsed()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return failure,
            }
            started = Instant::now();
        }
    }
}
