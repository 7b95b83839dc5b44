//! Lock that makes a source database reject receipts for a while, and every other write with SQLite.

use crate::databases::Engine;
use crate::deployment::Deployment;
use crate::proofs::checker::Checker;
use crate::proofs::proof_env::ProofEnv;

/// The lock, until it is dropped or released.
pub(super) struct ReceiptLock {
    session: Checker,
    unlock: &'static str,
    is_held: bool,
}

impl ReceiptLock {
    pub(super) fn take(ground: &ProofEnv, deployment: &Deployment) -> anyhow::Result<Self> {
        let session = ground.checker(deployment)?;
        let (lock, unlock): (&[&str], _) = match ground.engine {
            Engine::Sqlite => (&["BEGIN EXCLUSIVE"], "ROLLBACK"),
            Engine::Postgres => (
                &[
                    "BEGIN",
                    "LOCK TABLE synapsor_writeback_receipts IN EXCLUSIVE MODE",
                ],
                "ROLLBACK",
            ),
            Engine::Mysql | Engine::Mariadb => (
                &["LOCK TABLES synapsor_writeback_receipts WRITE"],
                "UNLOCK TABLES",
            ),
        };
        for statement in lock {
            session.query(statement)?;
        }
        Ok(Self {
            session,
            unlock,
            is_held: true,
        })
    }

    pub(super) fn end(mut self) -> anyhow::Result<()> {
        self.is_held = false;
        self.session.query(self.unlock).map(drop)
    }
}

impl Drop for ReceiptLock {
    fn drop(&mut self) {
        if self.is_held {
            let _ = self.session.query(self.unlock);
        }
    }
}
