//! Bundles whose signers were retired before, after, or in another log.

use synapsor_codes::ErrorCode;

use super::fixture::{ReplayFixture, heads, trust};
use crate::log::TreeHead;
use crate::replay::verify_bundle;
use crate::trust::TrustFile;

type Retire = fn(&mut TrustFile, TreeHead);

/// All kinds of keys: how to retire the key, the log size that covers all its signatures, and error codes. Each
/// code is for a signed object that a smaller size excludes.
const KEYS: [(Retire, u64, &[ErrorCode]); 4] = [
    (reader, 3, &[ErrorCode::BundleProposal, ErrorCode::BundleProposal]),
    (operator, 5, &[ErrorCode::BundleOrder, ErrorCode::BundleDecision]),
    (writer, 7, &[ErrorCode::BundleAttempt]),
    (ledger, 7, &[ErrorCode::BundleCheckpoint]),
];

fn reader(trust: &mut TrustFile, at: TreeHead) {
    trust.readers[0].retired_at_size = Some(at.size);
    trust.readers[0].retired_at_root = Some(hex::encode(at.root));
}

fn writer(trust: &mut TrustFile, at: TreeHead) {
    trust.writers[0].retired_at_size = Some(at.size);
    trust.writers[0].retired_at_root = Some(hex::encode(at.root));
}

fn ledger(trust: &mut TrustFile, at: TreeHead) {
    trust.ledgers[0].retired_at_size = Some(at.size);
    trust.ledgers[0].retired_at_root = Some(hex::encode(at.root));
}

fn operator(trust: &mut TrustFile, at: TreeHead) {
    trust.operators[0].retired_at_size = Some(at.size);
    trust.operators[0].retired_at_root = Some(hex::encode(at.root));
}

/// Returns the code of the bundle when a key was retired at `at`. `is_proven` adds the proof that the bundle's
/// log continues that state.
fn code(retire: Retire, at: TreeHead, is_proven: bool) -> Option<ErrorCode> {
    let mut bundle = ReplayFixture::new().bundle();
    if is_proven {
        let proofs: Vec<_> = heads(&bundle).into_iter().map(|(_, proof)| proof).collect();
        bundle = bundle.with_consistency(&proofs);
    }
    let mut trust = trust();
    retire(&mut trust, at);
    verify_bundle(&bundle, &trust).err().map(|e| e.code())
}

fn head(size: u64) -> TreeHead {
    let heads = heads(&ReplayFixture::new().bundle());
    heads[usize::try_from(size).unwrap() - 1].0
}

#[test]
fn retired_key_verifies_what_log_held_before() {
    for (retire, size, _) in KEYS {
        for size in size..=7 {
            assert_eq!(code(retire, head(size), true), None, "{size}");
        }
    }
}

#[test]
fn retired_key_verifies_nothing_logged_after() {
    for (retire, size, codes) in KEYS {
        for (left_out, expected) in (1..).zip(codes) {
            assert_eq!(
                code(retire, head(size - left_out), true),
                Some(*expected),
                "{size}"
            );
        }
    }
}

#[test]
fn forked_log_with_filled_positions_verifies_nothing() {
    for (retire, size, codes) in KEYS {
        let forked = TreeHead {
            root: [9; 32],
            ..head(size)
        };
        assert_ne!(code(retire, forked, true), None, "{codes:?}");
    }
}

#[test]
fn size_alone_without_proof_of_continuity_verifies_nothing() {
    assert_eq!(code(reader, head(3), false), Some(ErrorCode::BundleProposal));
    assert_eq!(code(operator, head(5), false), Some(ErrorCode::BundleDecision));
    // Equal heads need no proof.
    assert_eq!(code(writer, head(7), false), None);
    assert_eq!(code(ledger, head(7), false), None);
}

#[test]
fn bundle_file_preserves_proofs() {
    let bundle = ReplayFixture::new().bundle();
    let proofs: Vec<_> = heads(&bundle).into_iter().map(|(_, proof)| proof).collect();
    let before = bundle.to_bytes().unwrap();
    assert!(!String::from_utf8(before).unwrap().contains("consistency"));
    let bytes = bundle.with_consistency(&proofs).to_bytes().unwrap();
    let read = crate::replay::ProofBundle::from_bytes(&bytes).unwrap();
    assert_eq!(read.consistency().unwrap(), proofs);
}
