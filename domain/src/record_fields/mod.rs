//! Evidence and audit records as the ledger reads them: every field is checked as in [`Evidence`] and [`AuditRecord`],
//! and borrowed from the bytes or not kept.
//!
//! [`Evidence`]: crate::evidence::Evidence
//! [`AuditRecord`]: crate::evidence::AuditRecord

#[cfg(test)]
mod tests;

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use crate::borrowed_text::BorrowedText;
use crate::digest::Digest;
use crate::ids::{AuditId, EvidenceId, ProposalId};
use crate::proposal::{Requester, SourceRef, check_keys};
use crate::timestamp::Timestamp;
use crate::value::ValueKind;

/// Fields of evidence.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceFields<'a> {
    #[serde(borrow)]
    pub capability: BorrowedText<'a>,
    pub contract_digest: Digest,
    pub id: EvidenceId,
    pub ledger_origin: BorrowedText<'a>,
    pub query_fingerprint: Digest,
    pub read_at: Timestamp,
    pub requested_by: RequesterFields<'a>,
    pub row: CheckedItems<ColumnFields<'a>>,
    pub source: SourceFields<'a>,
    pub target: TargetFields<'a>,
    pub v: u32,
}

/// Fields of an audit record.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditFields<'a> {
    pub arguments_digest: Digest,
    pub at: Timestamp,
    #[serde(borrow)]
    pub capability: BorrowedText<'a>,
    pub client: BorrowedText<'a>,
    pub columns: CheckedItems<BorrowedText<'a>>,
    pub evidence_id: Option<EvidenceId>,
    pub id: AuditId,
    pub primary_key: Option<ColumnFields<'a>>,
    #[serde(default)]
    pub primary_keys: Vec<ColumnFields<'a>>,
    pub principal: Option<BorrowedText<'a>>,
    pub proposal_id: Option<ProposalId>,
    pub query_fingerprint: Option<Digest>,
    pub result: BorrowedText<'a>,
    pub row_count: u32,
    pub source_id: Option<BorrowedText<'a>>,
    pub table: Option<BorrowedText<'a>>,
    pub tenant: Option<BorrowedText<'a>>,
    pub tenant_bound: bool,
    pub v: u32,
}

/// Fields of a [`Requester`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequesterFields<'a> {
    #[serde(borrow)]
    pub client: BorrowedText<'a>,
    pub principal: BorrowedText<'a>,
    pub provenance: BorrowedText<'a>,
    pub tenant: BorrowedText<'a>,
}

impl PartialEq<Requester> for RequesterFields<'_> {
    fn eq(&self, other: &Requester) -> bool {
        let Requester {
            client,
            principal,
            provenance,
            tenant,
        } = other;
        *client == *self.client
            && *principal == *self.principal
            && *provenance == *self.provenance
            && *tenant == *self.tenant
    }
}

/// Fields of a [`SourceRef`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFields<'a> {
    #[serde(borrow)]
    pub engine: BorrowedText<'a>,
    pub fingerprint: BorrowedText<'a>,
    pub id: BorrowedText<'a>,
}

impl PartialEq<SourceRef> for SourceFields<'_> {
    fn eq(&self, other: &SourceRef) -> bool {
        let SourceRef {
            engine,
            fingerprint,
            id,
        } = other;
        *engine == *self.engine && *fingerprint == *self.fingerprint && *id == *self.id
    }
}

/// Fields of a [`RowTarget`](crate::proposal::RowTarget).
#[derive(Debug, Deserialize)]
#[serde(try_from = "SignedTargetFields<'a>", bound(deserialize = "'de: 'a"))]
pub struct TargetFields<'a> {
    pub schema: BorrowedText<'a>,
    pub table: BorrowedText<'a>,
    /// As [`RowTarget::object_id`](crate::proposal::RowTarget::object_id).
    pub object_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedTargetFields<'a> {
    #[serde(default, borrow)]
    keys: Option<Vec<ColumnFields<'a>>>,
    #[serde(default)]
    primary_key: Option<ColumnFields<'a>>,
    schema: BorrowedText<'a>,
    table: BorrowedText<'a>,
    tenant: Option<ColumnFields<'a>>,
}

impl<'a> TryFrom<SignedTargetFields<'a>> for TargetFields<'a> {
    type Error = &'static str;

    fn try_from(signed: SignedTargetFields<'a>) -> Result<Self, Self::Error> {
        let keys = signed.keys.as_ref();
        let names = keys.map(|keys| keys.iter().map(|key| &*key.column));
        check_keys(signed.primary_key.is_some(), names)?;
        let keys: Vec<&ColumnFields<'a>> = match &signed.primary_key {
            Some(key) => vec![key],
            None => signed.keys.iter().flatten().collect(),
        };
        let is_named = |key: &&&ColumnFields<'a>| keys.len() == 1 || signed.tenant.as_ref() != Some(**key);
        let named = keys.iter().filter(is_named);
        let values: Option<Vec<&str>> = named.map(|key| key.text()).collect();
        Ok(Self {
            object_id: values.map(|values| values.join("/")),
            schema: signed.schema,
            table: signed.table,
        })
    }
}

/// Fields of a [`ColumnValue`](crate::value::ColumnValue).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnFields<'a> {
    #[serde(borrow)]
    pub column: BorrowedText<'a>,
    value: ValueFields<'a>,
}

impl ColumnFields<'_> {
    /// Returns the exact text of the value; `None` for NULL.
    pub fn text(&self) -> Option<&str> {
        (self.value.kind != ValueKind::Null).then_some(&*self.value.text)
    }
}

impl PartialEq for ColumnFields<'_> {
    fn eq(&self, other: &Self) -> bool {
        *self.column == *other.column
            && self.value.kind == other.value.kind
            && *self.value.text == *other.value.text
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValueFields<'a> {
    #[serde(rename = "t")]
    kind: ValueKind,
    #[serde(borrow, rename = "v")]
    text: BorrowedText<'a>,
}

impl fmt::Debug for ValueFields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Business values must not reach logs by accident.
        f.write_str("Value")
    }
}

/// List whose items are checked and not kept.
#[derive(Debug)]
pub struct CheckedItems<T>(PhantomData<T>);

impl<T> Default for CheckedItems<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for CheckedItems<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reads<T> {
            type Value = CheckedItems<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                while items.next_element::<T>()?.is_some() {}
                Ok(CheckedItems::default())
            }
        }
        deserializer.deserialize_seq(Reads(PhantomData))
    }
}
