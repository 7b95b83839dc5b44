//! Shared state of the attempts of one source: its slots and its availability. Sources share nothing, so that
//! one that hangs delays no other.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::writer::Writer;
use crate::writer::attempt::availability::Availability;
use crate::writer::attempt::slots::Slots;

/// Concurrent attempts of one tenant at one source, besides one of another tenant and one in doubt.
const APPLIES_PER_SOURCE: usize = 8;

/// One source of a writer.
#[derive(Debug)]
pub(crate) struct AtSource {
    pub(crate) slots: Slots,
    pub(crate) availability: Arc<Availability>,
}

/// Returns the sources of a writer, by name.
pub(crate) fn all(writer: &Arc<Writer>) -> BTreeMap<String, Arc<AtSource>> {
    let at = |source: String| {
        let at = AtSource {
            slots: Slots::new(APPLIES_PER_SOURCE),
            availability: Availability::new(source.clone(), Arc::clone(writer)),
        };
        (source, Arc::new(at))
    };
    writer.source_ids().into_iter().map(at).collect()
}
