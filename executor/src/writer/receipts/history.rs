//! Compares the ledger's newest receipts with a database whose identity is not the recorded one, before anything is
//! written there. A server that failed over holds all of them; a restored backup or a promoted copy lacks the newest.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use synapsor_domain::database_identity::IdentityRelation;
use synapsor_source::KNOWN_RECEIPTS_MAX;
use synapsor_writeback::{KnownReceipt, LostReceipts};

use crate::writer::Writer;
use crate::writer::receipts::compare::{NotCompared, compare_page};

/// Pages that are compared: the newest 1,000 receipts.
const PAGES: usize = 2;

/// Reason why nothing may be written to a database yet.
#[derive(Debug)]
pub(crate) enum UnknownHistory {
    NotCompared(NotCompared),
    /// The database reported another identity meanwhile.
    Outdated,
    Lost(Box<LostReceipts>),
}

/// The identity of each source under which its newest receipts were all found.
#[derive(Debug, Default)]
pub(crate) struct ComparedIdentities(Mutex<BTreeMap<String, String>>);

impl ComparedIdentities {
    pub(crate) fn has(&self, source: &str, identity: &str) -> bool {
        self.lock()
            .get(source)
            .is_some_and(|compared| compared == identity)
    }

    fn add(&self, source: &str, identity: &str) {
        self.lock().insert(source.to_owned(), identity.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requires that the database holds the newest receipts of the ledger, if the proposal or a known receipt names
/// another timeline, role or server than the one that serves it now. Once per identity and process.
pub(crate) async fn check_history(
    writer: &Writer,
    source: &str,
    recorded: &str,
    identity: &str,
) -> Result<(), UnknownHistory> {
    // The authorization refuses the other relations; a comparison there would report losses that are none.
    let is_verified = match IdentityRelation::of(recorded, identity) {
        IdentityRelation::Same => !writer.core.known().names_other_identity(source, identity),
        IdentityRelation::Weaker | IdentityRelation::LaterTimeline => false,
        IdentityRelation::EarlierTimeline | IdentityRelation::Different => true,
    };
    if is_verified || writer.compared_identities.has(source, identity) {
        return Ok(());
    }
    let mut lost: Vec<KnownReceipt> = Vec::new();
    let (mut before, mut compared) = (None, 0);
    for _ in 0..PAGES {
        let page = compare_page(writer, source, before)
            .await
            .map_err(UnknownHistory::NotCompared)?;
        if page.identity != identity {
            return Err(UnknownHistory::Outdated);
        }
        compared += page.compared;
        lost.extend(page.lost.into_iter().map(|(known, _)| known));
        before = page.next_before_seq;
        if before.is_none() {
            break;
        }
    }
    if lost.is_empty() {
        tracing::info!(
            source,
            identity,
            recorded,
            compared,
            "database identity changed; all compared receipts are there"
        );
        writer.compared_identities.add(source, identity);
        return Ok(());
    }
    lost.truncate(KNOWN_RECEIPTS_MAX);
    Err(UnknownHistory::Lost(Box::new(LostReceipts {
        source: source.to_owned(),
        identity: identity.to_owned(),
        receipts: lost,
    })))
}
