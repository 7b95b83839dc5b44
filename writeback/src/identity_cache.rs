//! Caches the last reported identity of each database to avoid a query before every transaction. Only the
//! identity reported inside the transaction is decisive.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The databases of one writer, by source name.
#[derive(Debug, Default)]
pub struct IdentityCache(Mutex<BTreeMap<String, String>>);

impl IdentityCache {
    /// Returns the last identity that the database of this source reported.
    pub fn last(&self, source: &str) -> Option<String> {
        self.lock().get(source).cloned()
    }

    /// Caches the identity that the database of a source reported.
    pub fn cache(&self, source: &str, identity: &str) {
        self.lock().insert(source.to_owned(), identity.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
