//! Differences in authority between two contracts: what a model can see, request or change under one and not under
//! the other.
//!
//! A difference whose effect depends on the database, such as another variable for a URL, counts as wider. A
//! capability whose contract digest differs without a known difference does so too.

mod argument;
mod capability;
mod context;
mod proposal;
mod source;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::contract::{Capability, CapabilityKind, Contract, Mode, ResultFormat};

/// Effect of a difference on the authority of models and of the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorityEffect {
    /// Permits what was not permitted.
    Widens,
    /// Refuses what was permitted.
    Narrows,
    /// Neither: texts and formats.
    Other,
}

/// One difference between two contracts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuthorityChange {
    pub effect: AuthorityEffect,
    /// Name of the capability or source; absent for the whole contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The difference in words, as of the second contract.
    pub text: String,
}

/// Returns the differences of the second contract from the first: of the whole contract, its sources, then its
/// capabilities in the order of the files.
pub fn authority_changes(before: &Contract, after: &Contract) -> Vec<AuthorityChange> {
    let mut changes = ChangeList::default();
    compare_roots(before, after, &mut changes);
    for source in after.sources() {
        changes.subject = Some(source.name.clone());
        match before.source(&source.name) {
            Some(earlier) => source::compare(earlier, source, &mut changes),
            None => source::added(source, &mut changes),
        }
    }
    for gone in before
        .sources()
        .iter()
        .filter(|s| after.source(&s.name).is_none())
    {
        changes.subject = Some(gone.name.clone());
        changes.narrows("source removed");
    }
    for capability in after.capabilities() {
        changes.subject = Some(capability.name.clone());
        match before.capability(&capability.name) {
            Some(earlier) if is_same_kind(earlier, capability) => {
                compare_capabilities((before, earlier), (after, capability), &mut changes);
            }
            Some(_) => capability::added(capability, "of another kind", &mut changes),
            None => capability::added(capability, "new", &mut changes),
        }
    }
    let gone = before.capabilities().iter();
    for gone in gone.filter(|c| after.capability(&c.name).is_none()) {
        changes.subject = Some(gone.name.clone());
        changes.narrows("tool removed");
    }
    changes.list
}

fn is_same_kind(before: &Capability, after: &Capability) -> bool {
    before.kind.tool() == after.kind.tool()
}

fn compare_roots(before: &Contract, after: &Contract, changes: &mut ChangeList) {
    let rank = |mode: Mode| match mode {
        // No process runs it.
        Mode::Cloud => 0,
        Mode::ReadOnly => 1,
        Mode::Shadow => 2,
        Mode::Review => 3,
    };
    let (from, to) = (before.mode(), after.mode());
    if from != to {
        let text = format!("mode `{}` instead of `{}`", to.as_str(), from.as_str());
        changes.of_order(rank(to).cmp(&rank(from)), text);
    }
    let format = |contract: &Contract| match contract.result_format() {
        ResultFormat::V1 => 1,
        ResultFormat::V2 => 2,
    };
    if before.sqlite_path() != after.sqlite_path() {
        changes.other("another store of the ledger");
    }
    if format(before) != format(after) {
        changes.other(format!(
            "result format {} instead of {}",
            format(after),
            format(before)
        ));
    }
}

/// Compares capabilities of the same name and kind.
fn compare_capabilities(
    (old, before): (&Contract, &Capability),
    (new, after): (&Contract, &Capability),
    changes: &mut ChangeList,
) {
    let known = changes.authority_count();
    capability::compare(before, after, changes);
    context::compare(old.context(&before.context), new.context(&after.context), changes);
    if let (CapabilityKind::Proposal(earlier), CapabilityKind::Proposal(later)) = (&before.kind, &after.kind)
    {
        proposal::compare(earlier, later, changes);
        proposal::compare_comparison(before, after, later, changes);
        proposal::compare_executors((old, earlier), (new, later), changes);
    }
    // The digest covers the mode too, which is reported once for the whole contract.
    let has_other_digest = before.contract_digest(old) != after.contract_digest(new);
    if has_other_digest && changes.authority_count() == known && old.mode() == new.mode() {
        changes.widens("other terms of the capability; compare the files by hand");
    }
}

/// Collects changes of one subject after another.
#[derive(Default)]
struct ChangeList {
    subject: Option<String>,
    list: Vec<AuthorityChange>,
}

impl ChangeList {
    fn widens(&mut self, text: impl Into<String>) {
        self.add(AuthorityEffect::Widens, text.into());
    }

    fn narrows(&mut self, text: impl Into<String>) {
        self.add(AuthorityEffect::Narrows, text.into());
    }

    fn other(&mut self, text: impl Into<String>) {
        self.add(AuthorityEffect::Other, text.into());
    }

    /// Adds a change of an amount of authority: greater is wider, equal is no change.
    fn of_order(&mut self, order: std::cmp::Ordering, text: impl Into<String>) {
        match order {
            std::cmp::Ordering::Less => self.narrows(text),
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => self.widens(text),
        }
    }

    /// Adds the names that only one of two lists has: a name added is wider, a name removed narrower.
    fn of_names(&mut self, before: &[String], after: &[String], added: &str, removed: &str) {
        for name in after.iter().filter(|name| !before.contains(name)) {
            self.widens(format!("{added} `{name}`"));
        }
        for name in before.iter().filter(|name| !after.contains(name)) {
            self.narrows(format!("{removed} `{name}`"));
        }
    }

    fn authority_count(&self) -> usize {
        let of_authority = self.list.iter().filter(|c| c.effect != AuthorityEffect::Other);
        of_authority.count()
    }

    fn add(&mut self, effect: AuthorityEffect, text: String) {
        self.list.push(AuthorityChange {
            effect,
            subject: self.subject.clone(),
            text,
        });
    }
}
