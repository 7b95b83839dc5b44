//! Published vectors of RFC 6962 logs and of signed notes, and properties of all proofs.

use proptest::prelude::*;
use tlog_tiles::tlog;

use super::*;

const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

const INCLUSION: [(u64, u64, &[&str]); 4] = [
    (0, 1, &[]),
    (
        0,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        &[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        3,
        &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    ),
];

const CONSISTENCY: [(u64, u64, &[&str]); 3] = [
    (
        1,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        &[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
];

struct Nodes(Vec<tlog::Hash>);

impl tlog::HashReader for Nodes {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        Ok(indexes
            .iter()
            .map(|i| self.0[usize::try_from(*i).unwrap()])
            .collect())
    }
}

fn tree_of(leaves: &[Vec<u8>]) -> Nodes {
    let mut nodes = Nodes(Vec::new());
    for (n, leaf) in leaves.iter().enumerate() {
        let new = tlog::stored_hashes(n as u64, leaf, &nodes).unwrap();
        nodes.0.extend(new);
    }
    nodes
}

fn root(nodes: &Nodes, size: u64) -> TreeHash {
    tlog::tree_hash(size, nodes).unwrap().0
}

fn inclusion(nodes: &Nodes, index: u64, size: u64) -> InclusionProof {
    let hashes = tlog::prove_record(size, index, nodes).unwrap();
    InclusionProof::new(index, size, hashes.into_iter().map(|h| h.0).collect()).unwrap()
}

fn consistency(nodes: &Nodes, old: u64, new: u64) -> ConsistencyProof {
    let hashes = tlog::prove_tree(new, old, nodes).unwrap();
    ConsistencyProof::new(old, new, hashes.into_iter().map(|h| h.0).collect()).unwrap()
}

fn hash(text: &str) -> TreeHash {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn published_leaves() -> Vec<Vec<u8>> {
    LEAVES.iter().map(|l| hex::decode(l).unwrap()).collect()
}

#[test]
fn published_roots_are_reproduced() {
    let nodes = tree_of(&published_leaves());
    assert_eq!(root(&nodes, 0), EMPTY_ROOT);
    for (i, expected) in ROOTS.iter().enumerate() {
        assert_eq!(root(&nodes, i as u64 + 1), hash(expected));
    }
}

#[test]
fn published_inclusion_proofs_verify_and_are_reproduced() {
    let leaves = published_leaves();
    let nodes = tree_of(&leaves);
    for (index, size, path) in INCLUSION {
        let hashes: Vec<_> = path.iter().map(|h| hash(h)).collect();
        let proof = InclusionProof::new(index, size, hashes).unwrap();
        let leaf = leaf_hash(&leaves[usize::try_from(index).unwrap()]);
        let under = hash(ROOTS[usize::try_from(size).unwrap() - 1]);
        assert_eq!(proof.verify(&leaf, &under), Ok(()));
        assert_eq!(proof, inclusion(&nodes, index, size));
        assert_eq!(
            proof.verify(&leaf_hash(b"another event"), &under),
            Err(LogError::ProofRefused)
        );
    }
}

#[test]
fn published_consistency_proofs_verify_and_are_reproduced() {
    let nodes = tree_of(&published_leaves());
    for (old, new, path) in CONSISTENCY {
        let hashes: Vec<_> = path.iter().map(|h| hash(h)).collect();
        let proof = ConsistencyProof::new(old, new, hashes).unwrap();
        let old_root = hash(ROOTS[usize::try_from(old).unwrap() - 1]);
        let new_root = hash(ROOTS[usize::try_from(new).unwrap() - 1]);
        assert_eq!(proof.verify(&old_root, &new_root), Ok(()));
        assert_eq!(proof, consistency(&nodes, old, new));
        assert_eq!(proof.verify(&new_root, &old_root), Err(LogError::ProofRefused));
    }
}

#[test]
fn proof_sizes_are_checked_before_copying() {
    let hashes = vec![vec![0_u8; 32]; PROOF_HASHES_MAX + 1];
    assert_eq!(
        InclusionProof::from_wire(0, 2, &hashes),
        Err(LogError::ProofTooLong)
    );
    assert_eq!(
        ConsistencyProof::from_wire(1, 2, &hashes),
        Err(LogError::ProofTooLong)
    );
    assert_eq!(
        InclusionProof::from_wire(0, 2, &[vec![0; 31]]),
        Err(LogError::HashLength)
    );
    assert_eq!(
        InclusionProof::new(0, u64::MAX, vec![]),
        Err(LogError::SizeOutOfRange)
    );
    assert_eq!(InclusionProof::new(3, 3, vec![]), Err(LogError::SizeOutOfRange));
    assert_eq!(ConsistencyProof::new(0, 3, vec![]), Err(LogError::SizeOutOfRange));
    assert_eq!(ConsistencyProof::new(4, 3, vec![]), Err(LogError::SizeOutOfRange));
}

#[test]
fn rejects_equal_sizes_with_different_roots() {
    let proof = ConsistencyProof::new(4, 4, vec![]).unwrap();
    assert_eq!(proof.verify(&[1; 32], &[2; 32]), Err(LogError::ProofRefused));
    assert_eq!(proof.verify(&[1; 32], &[1; 32]), Ok(()));
}

mod notes {
    use super::*;
    use crate::signing::{PublicKey, SigningKey};

    const ORIGIN: &str = "synapsor/dep_test";

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&zeroize::Zeroizing::new([seed; 32]))
    }

    #[test]
    fn published_note_key_id_and_signature_are_reproduced() {
        // Example note of the Go project's signed-note library: name, key and signature are public.
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let line =
            "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        use base64::Engine as _;
        let engine = base64::engine::general_purpose::STANDARD;
        let raw = engine.decode(line).unwrap();
        let public = engine
            .decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
            .unwrap();
        assert_eq!(
            signed_note::key_id("PeterNeumann", &public).to_be_bytes(),
            raw[..4]
        );
        let public = PublicKey::from_bytes(public[1..].try_into().unwrap()).unwrap();
        let signature: [u8; 64] = raw[4..].try_into().unwrap();
        assert!(public.verifies(text.as_bytes(), &signature));
        assert!(!public.verifies(b"another text\n", &signature));
    }

    #[test]
    fn checkpoint_verifies_only_under_its_key_and_origin() {
        let note = sign_checkpoint(ORIGIN, 8, &hash(ROOTS[7]), &key(1)).unwrap();
        assert!(note.starts_with(
            "synapsor/dep_test\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n\n— synapsor/dep_test "
        ));
        let read = verify_checkpoint(&note, ORIGIN, &key(1).public_key()).unwrap();
        assert_eq!(
            read,
            Checkpoint {
                origin: ORIGIN.into(),
                size: 8,
                root: hash(ROOTS[7])
            }
        );
        assert_eq!(
            verify_checkpoint(&note, ORIGIN, &key(2).public_key()),
            Err(LogError::NoteSignature)
        );
        assert_eq!(
            verify_checkpoint(&note, "synapsor/x", &key(1).public_key()),
            Err(LogError::OtherOrigin)
        );
    }

    #[test]
    fn rejects_checkpoint_in_other_spelling() {
        let note = sign_checkpoint(ORIGIN, 8, &hash(ROOTS[7]), &key(1)).unwrap();
        let public = key(1).public_key();
        let line = note.lines().last().unwrap();
        for other in [
            note.replace("\n8\n", "\n08\n"),
            note.replace("\n8\n", "\n9\n"),
            note.replace("yg=\n\n", "yg=\nextension\n\n"),
            note.trim_end().to_owned(),
            format!("{note}\n"),
            format!("{note}{line}\n"),
            note.replace('\n', "\r\n"),
            format!("{}{}", note, " ".repeat(NOTE_BYTES_MAX)),
            String::new(),
        ] {
            assert!(verify_checkpoint(&other, ORIGIN, &public).is_err(), "{other:?}");
        }
    }

    #[test]
    fn rejects_second_signature_by_another_key() {
        let note = sign_checkpoint(ORIGIN, 8, &hash(ROOTS[7]), &key(1)).unwrap();
        let other = sign_checkpoint(ORIGIN, 8, &hash(ROOTS[7]), &key(2)).unwrap();
        let both = format!("{note}{}\n", other.lines().last().unwrap());
        assert_eq!(
            verify_checkpoint(&both, ORIGIN, &key(1).public_key()),
            Err(LogError::NoteSignature)
        );
    }

    #[test]
    fn rejects_signing_for_invalid_origin() {
        for origin in ["", "a b", "a+b", "a\nb"] {
            assert_eq!(
                sign_checkpoint(origin, 0, &EMPTY_ROOT, &key(1)),
                Err(LogError::OriginMalformed)
            );
        }
    }
}

mod records {
    use super::*;
    use crate::event::{EventKind, EventRecord};
    use crate::timestamp::Timestamp;

    fn record(seq: u64, index: u64, body: &[u8]) -> (ProvenEntry, Checkpoint) {
        let event = EventRecord {
            seq,
            kind: EventKind::QueryAudited,
            at: Timestamp::from_unix_millis(1),
            actor: "reader".to_owned(),
            proposal_id: None,
            body_digest: body_commitment(&[7; 32], body),
            trace_id: None,
        };
        let bytes = crate::canonical::encode(&event).unwrap();
        let mut leaves = published_leaves();
        leaves[usize::try_from(index).unwrap()] = bytes.clone();
        let nodes = tree_of(&leaves);
        let proof = inclusion(&nodes, index, 8);
        let logged = ProvenEntry {
            event_bytes: bytes,
            body_salt: [7; 32],
            body: body.to_vec(),
            proof,
        };
        (
            logged,
            Checkpoint {
                origin: "synapsor/d".into(),
                size: 8,
                root: root(&nodes, 8),
            },
        )
    }

    #[test]
    fn record_verifies_only_with_its_position_body_and_proof() {
        let (good, head) = record(3, 3, b"{}");
        assert_eq!(good.verify(&head).unwrap().seq, 3);
        let (elsewhere, other_head) = record(2, 3, b"{}");
        assert_eq!(elsewhere.verify(&other_head), Err(LogError::SeqMismatch));
        assert_eq!(good.verify(&other_head), Err(LogError::ProofRefused));
        let later = Checkpoint {
            size: 9,
            ..head.clone()
        };
        assert_eq!(good.verify(&later), Err(LogError::OtherTree));
        let mut altered = good.clone();
        altered.body = b"{ }".to_vec();
        assert_eq!(altered.verify(&head), Err(LogError::BodyMismatch));
        altered = good.clone();
        altered.body_salt[0] ^= 1;
        assert_eq!(altered.verify(&head), Err(LogError::BodyMismatch));
        altered = good.clone();
        altered.event_bytes.push(b' ');
        assert_eq!(altered.verify(&head), Err(LogError::EventMalformed));
    }

    #[test]
    fn commitment_matches_published_construction() {
        // DSSE pre-authentication encoding of type `body.v1` over salt and body, under SHA-256.
        let salted = [vec![7; 32], b"{}".to_vec()].concat();
        assert_eq!(
            body_commitment(&[7; 32], b"{}"),
            crate::digest::Digest::of_typed("body.v1", &salted)
        );
        assert_ne!(body_commitment(&[8; 32], b"{}"), body_commitment(&[7; 32], b"{}"));
    }
}

mod witnesses {
    use super::*;

    fn head(nodes: &Nodes, size: u64) -> Checkpoint {
        Checkpoint {
            origin: "synapsor/d".into(),
            size,
            root: root(nodes, size),
        }
    }

    fn seen(nodes: &Nodes, size: u64) -> PinnedCheckpoint {
        let mut pinned = PinnedCheckpoint::new("synapsor/d");
        pinned.advance(&head(nodes, size), None).unwrap();
        pinned
    }

    #[test]
    fn growth_needs_proof_and_advances_pinned_checkpoint() {
        let nodes = tree_of(&published_leaves());
        let mut pinned = seen(&nodes, 3);
        let (old, new) = (3, 8);
        assert_eq!(
            pinned.advance(&head(&nodes, new), None),
            Err(ContinuityError::ProofMissing {
                pinned: old,
                now: new
            })
        );
        assert_eq!(
            pinned.advance(&head(&nodes, new), Some(&consistency(&nodes, 2, 8))),
            Err(ContinuityError::ProofMissing {
                pinned: old,
                now: new
            })
        );
        assert_eq!(
            pinned.advance(&head(&nodes, new), Some(&consistency(&nodes, 3, 8))),
            Ok(PinUpdate::Grew)
        );
        assert_eq!(pinned, seen(&nodes, 8));
        assert_eq!(pinned.advance(&head(&nodes, 8), None), Ok(PinUpdate::Unchanged));
    }

    #[test]
    fn shorter_log_is_rollback_and_other_history_is_fork() {
        let nodes = tree_of(&published_leaves());
        let mut other_leaves = published_leaves();
        other_leaves[1] = b"rewritten".to_vec();
        let other = tree_of(&other_leaves);
        let mut pinned = seen(&nodes, 5);
        let before = pinned.clone();
        assert_eq!(
            pinned.advance(&head(&nodes, 4), None),
            Err(ContinuityError::RolledBack { pinned: 5, now: 4 })
        );
        assert_eq!(
            pinned.advance(&head(&other, 5), None),
            Err(ContinuityError::Forked { pinned: 5, now: 5 })
        );
        assert_eq!(
            pinned.advance(&head(&other, 8), Some(&consistency(&other, 5, 8))),
            Err(ContinuityError::Forked { pinned: 5, now: 8 })
        );
        assert_eq!(
            pinned.advance(&Checkpoint::empty("synapsor/e"), None),
            Err(ContinuityError::OtherLog)
        );
        assert_eq!(pinned, before);
    }

    #[test]
    fn pinned_checkpoint_reads_only_in_canonical_form() {
        let pinned = seen(&tree_of(&published_leaves()), 8);
        let bytes = pinned.to_bytes();
        assert_eq!(PinnedCheckpoint::from_bytes(&bytes), Some(pinned));
        assert_eq!(PinnedCheckpoint::from_bytes(b"{}"), None);
        let spaced = String::from_utf8(bytes).unwrap().replace(':', ": ");
        assert_eq!(PinnedCheckpoint::from_bytes(spaced.as_bytes()), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn prefix_proof_verifies_for_its_size_only(
        leaves in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..8), 2..40),
        other in any::<prop::sample::Index>(),
    ) {
        let nodes = tree_of(&leaves);
        let size = leaves.len() as u64;
        let new_root = root(&nodes, size);
        for old in 1..=size {
            let proof = consistency(&nodes, old, size);
            prop_assert_eq!(proof.verify(&root(&nodes, old), &new_root), Ok(()));
            let wrong = other.index(leaves.len()) as u64 + 1;
            if wrong != old {
                let lied = ConsistencyProof::new(wrong, size, proof.hashes().to_vec()).unwrap();
                prop_assert!(lied.verify(&root(&nodes, old), &new_root).is_err());
            }
        }
    }

    #[test]
    fn leaf_proof_verifies_at_its_index_only(
        count in 2_u64..40,
        other in any::<prop::sample::Index>(),
    ) {
        let leaves: Vec<Vec<u8>> = (0..count).map(|n| n.to_be_bytes().to_vec()).collect();
        let nodes = tree_of(&leaves);
        let under = root(&nodes, count);
        for index in 0..count {
            let leaf = leaf_hash(&leaves[usize::try_from(index).unwrap()]);
            let proof = inclusion(&nodes, index, count);
            prop_assert_eq!(proof.verify(&leaf, &under), Ok(()));
            let wrong = other.index(leaves.len()) as u64;
            if wrong != index {
                let lied = InclusionProof::new(wrong, count, proof.hashes().to_vec()).unwrap();
                prop_assert!(lied.verify(&leaf, &under).is_err());
            }
            let longer = InclusionProof::new(index, count + 1, proof.hashes().to_vec()).unwrap();
            prop_assert!(longer.verify(&leaf, &root(&tree_of(&[leaves.clone(), vec![b"x".to_vec()]].concat()), count + 1)).is_err());
        }
    }
}
