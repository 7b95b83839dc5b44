//! What each database last reported as its identity, so that it is not asked before every transaction: the answer
//! inside the transaction is the one that counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The databases of one writer, by source name.
#[derive(Debug, Default)]
pub struct IdentityCache(Mutex<BTreeMap<String, String>>);

impl IdentityCache {
    /// Whether the database of this source reported this identity, and no other since.
    pub fn is_known(&self, source: &str, identity: &str) -> bool {
        self.lock().get(source).is_some_and(|known| known == identity)
    }

    /// Keeps the identity that the database of a source reported.
    pub fn cache(&self, source: &str, identity: &str) {
        self.lock().insert(source.to_owned(), identity.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
