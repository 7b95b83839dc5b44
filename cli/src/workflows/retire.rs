//! Verifies and pins the tree head at which a key can be retired; for a writer's key only when the log holds
//! every receipt that it signed.

use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::log::TreeHead;
use synapsor_domain::proposal::ProposalState;
use synapsor_domain::signing::KeyId;

use crate::Context;
use crate::clients::{LedgerClient, ProposalQuery, WriterClient};
use crate::connection::LedgerConnection;
use crate::output::safe;
use crate::pinned_checkpoint::CheckpointPin;

/// Number of proposals on one page of a list.
const PAGE_ROWS: u32 = 200;
/// Maximum number of ids in a message.
const NAMED_MAX: usize = 5;

/// Tree head at which a key is retired.
#[derive(Debug)]
pub(crate) struct Retirement {
    pub(crate) head: TreeHead,
    /// Number of receipts of a writer key found in its sources, all of which the log holds.
    pub(crate) receipts: Option<u64>,
}

/// For a reader or operator key: returns the newest verified tree head.
pub(crate) async fn retire_signer(session: &LedgerConnection) -> Result<Retirement, ExitError> {
    let (head, _) = newest(session).await?;
    Ok(Retirement { head, receipts: None })
}

/// For a ledger key: requires that another key signed the newest checkpoint.
pub(crate) async fn retire_ledger(session: &LedgerConnection, key: &KeyId) -> Result<Retirement, ExitError> {
    let (head, signer) = newest(session).await?;
    if signer == *key {
        return Err(in_use("the running ledger still signs with this key")
            .with_fix("add its new key to the trust file, start it with that key, then retire the old one"));
    }
    Ok(Retirement { head, receipts: None })
}

/// For a writer key: requires that no attempt is open and that the log holds every receipt that it signed.
pub(crate) async fn retire_writer(
    session: &mut LedgerConnection,
    key: &KeyId,
    context: &Context,
) -> Result<Retirement, ExitError> {
    let open = open_attempts(session).await?;
    if !open.is_empty() {
        let text = format!("{} attempt(s) are still open: {}", open.len(), named(&open));
        return Err(ExitError::new(ErrorCode::AttemptsOpen, text)
            .with_fix("wait until the writer has resolved them, then retire the key"));
    }
    let link = session.writer(context).await?;
    let reported = WriterClient::at(&link).report_receipts(key).await?;
    if reported.signing_key == key.as_str() && !reported.frozen {
        return Err(in_use("the running writer still signs with this key").with_fix(
            "start it with its new key, or stop it with `synapsor-runner writeback freeze` first",
        ));
    }
    let mut receipts = 0;
    for source in &reported.sources {
        if let Some(reason) = &source.unavailable {
            let text = format!(
                "cannot read receipts in `{}`: {}",
                safe(&source.source_id),
                safe(reason)
            );
            return Err(ExitError::new(ErrorCode::ReceiptsUnchecked, text)
                .with_fix("make the database reachable for the writer, then retire the key"));
        }
        if !source.unreported.is_empty() {
            let text = format!(
                "{} receipt(s) of this key in `{}` are not in the log: {}",
                source.unreported.len(),
                safe(&source.source_id),
                named(&source.unreported)
            );
            return Err(ExitError::new(ErrorCode::ReceiptsUnreported, text)
                .with_fix(
                    "check the ledger's alarms for the reason; after retirement these receipts could never be proven",
                ));
        }
        receipts += source.reported;
    }
    let (head, _) = newest(session).await?;
    Ok(Retirement {
        head,
        receipts: Some(receipts),
    })
}

/// Returns the newest tree head, verified and pinned, with the ledger key that signed it.
async fn newest(session: &LedgerConnection) -> Result<(TreeHead, KeyId), ExitError> {
    let trust = session.trust();
    let mut pin = CheckpointPin::lock_and_load(&session.pin_path(), trust).await?;
    let (note, proof) = LedgerClient::of(session).checkpoint(pin.known()).await?;
    let checkpoint = pin.accept(&note, proof.as_ref())?;
    let signer = trust
        .verify_checkpoint(&note)
        .map(|(_, key)| key.key_id())
        .map_err(|e| ExitError::new(e.code(), e.to_string()))?;
    if checkpoint.size == 0 {
        return Err(ExitError::new(ErrorCode::LogEmpty, "log is empty"));
    }
    Ok((checkpoint.head(), signer))
}

/// Returns the ids of proposals with an open attempt.
async fn open_attempts(session: &LedgerConnection) -> Result<Vec<String>, ExitError> {
    let mut ledger = LedgerClient::of(session);
    let mut open = Vec::new();
    for state in [ProposalState::PendingWorker, ProposalState::InDoubt] {
        let filter = ProposalQuery {
            state: Some(state),
            ..ProposalQuery::default()
        };
        let mut token = String::new();
        loop {
            let page = ledger.list(&filter, PAGE_ROWS, &token).await?;
            let started = page.proposals.iter().filter(|record| record.started);
            for record in started {
                let id = record
                    .proposal
                    .decode_unverified::<synapsor_domain::proposal::Proposal>(
                        synapsor_domain::signing::ObjectKind::Proposal,
                    )
                    .map_or_else(|_| "?".to_owned(), |proposal| proposal.id.to_string());
                open.push(id);
            }
            if page.next_page_token.is_empty() || page.next_page_token == token {
                break;
            }
            token = page.next_page_token;
        }
    }
    Ok(open)
}

fn named(ids: &[String]) -> String {
    let shown: Vec<_> = ids
        .iter()
        .take(NAMED_MAX)
        .map(|id| safe(id).to_string())
        .collect();
    let more = if ids.len() > NAMED_MAX { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn in_use(text: &str) -> ExitError {
    ExitError::new(ErrorCode::KeyInUse, text)
}
