//! Evidence that a reader signed together: each verifies alone, and only at its place under its signature.

use serde_json::{Value as Json, json};
use synapsor_domain::canonical;
use synapsor_domain::signing::{
    BATCH_OBJECTS_MAX, BatchVerifier, DsseEnvelope, EnvelopeError, ObjectKind, SigningKey, sign_evidence,
};
use zeroize::Zeroizing;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([seed; 32]))
}

fn batch(count: usize) -> Vec<DsseEnvelope> {
    let payloads = (0..count).map(|n| canonical::encode(&json!({ "n": n })).expect("a canonical object"));
    sign_evidence(payloads.collect(), &key(1))
}

fn verify(envelope: &DsseEnvelope) -> Result<Json, EnvelopeError> {
    envelope.verify_and_decode(ObjectKind::Evidence, &key(1).public_key())
}

#[test]
fn each_evidence_of_a_batch_verifies_alone() {
    for count in 0..=BATCH_OBJECTS_MAX {
        let signed = batch(count);
        assert_eq!(signed.len(), count);
        for (n, envelope) in signed.iter().enumerate() {
            let stored = DsseEnvelope::from_bytes(&envelope.to_bytes().unwrap()).unwrap();
            assert_eq!(stored, *envelope);
            // Fields in canonical order are not sorted a second time.
            assert_eq!(
                serde_json::to_vec(envelope).unwrap(),
                envelope.to_bytes().unwrap()
            );
            assert_eq!(verify(&stored), Ok(json!({ "n": n })), "{n} of {count}");
            assert_eq!(stored.signatures[0].batch.is_some(), count > 1);
        }
    }
}

#[test]
fn evidence_verifies_only_at_its_place() {
    let signed = batch(5);
    let other_batch = batch(6);
    type Change = fn(&mut DsseEnvelope, &[DsseEnvelope], &[DsseEnvelope]);
    let changes: [(&str, Change); 6] = [
        ("payload", |e, _, _| e.payload = br#"{"n":9}"#.to_vec()),
        ("place of another object", |e, signed, _| {
            e.signatures[0].batch = signed[3].signatures[0].batch.clone();
        }),
        ("place in another batch", |e, _, other| {
            e.signatures[0].batch = other[2].signatures[0].batch.clone();
        }),
        ("signature of another batch", |e, _, other| {
            e.signatures[0].sig = other[2].signatures[0].sig.clone();
        }),
        ("no place", |e, _, _| e.signatures[0].batch = None),
        ("one bit of the signature", |e, _, _| e.signatures[0].sig[3] ^= 1),
    ];
    for (what, change) in changes {
        let mut envelope = signed[2].clone();
        assert!(verify(&envelope).is_ok());
        change(&mut envelope, &signed, &other_batch);
        assert_eq!(verify(&envelope), Err(EnvelopeError::BadSignature), "{what}");
    }
    let by_another = signed[2].verify_and_decode::<Json>(ObjectKind::Evidence, &key(2).public_key());
    assert_eq!(by_another, Err(EnvelopeError::WrongKey));
}

#[test]
fn only_evidence_is_accepted_from_a_batch() {
    let mut envelope = batch(2).remove(0);
    for kind in [
        ObjectKind::Decision,
        ObjectKind::ApplyOrder,
        ObjectKind::Receipt,
        ObjectKind::Proposal,
    ] {
        envelope.payload_type = kind.payload_type().to_owned();
        let opened = envelope.verify_and_decode::<Json>(kind, &key(1).public_key());
        assert_eq!(opened, Err(EnvelopeError::BatchNotAllowed), "{kind:?}");
    }
}

#[test]
fn a_verified_batch_vouches_for_no_other_signature() {
    let signed = batch(3);
    let mut verifier = BatchVerifier::default();
    let mut open = |envelope: &DsseEnvelope, seed| {
        envelope
            .verify_and_decode_in_batch::<Json>(ObjectKind::Evidence, &key(seed).public_key(), &mut verifier)
            .map(drop)
    };
    assert_eq!(open(&signed[0], 1), Ok(()));
    let mut forged = signed[1].clone();
    forged.signatures[0].sig[40] ^= 1;
    assert_eq!(open(&forged, 1), Err(EnvelopeError::BadSignature));
    let mut claimed = signed[1].clone();
    claimed.signatures[0].keyid = key(2).key_id();
    assert_eq!(open(&claimed, 2), Err(EnvelopeError::BadSignature));
    let mut altered = signed[1].clone();
    altered.payload = br#"{"n":7}"#.to_vec();
    assert_eq!(open(&altered, 1), Err(EnvelopeError::BadSignature));
    assert_eq!(open(&batch(2)[0], 1), Ok(()));
    assert_eq!(open(&signed[2], 1), Ok(()));
}

#[test]
fn places_outside_their_limits_are_rejected() {
    let stored: Json = serde_json::from_slice(&batch(3)[1].to_bytes().unwrap()).unwrap();
    let with = |field: &str, value: Json| {
        let mut changed = stored.clone();
        changed["signatures"][0]["batch"][field] = value;
        DsseEnvelope::from_bytes(&canonical::encode_within(&changed, 1 << 20).unwrap())
    };
    assert!(with("index", json!(1)).is_ok());
    let mut without = stored.clone();
    without["signatures"][0]["batch"] = Json::Null;
    assert!(DsseEnvelope::from_bytes(&canonical::encode_within(&without, 1 << 20).unwrap()).is_err());
    for (field, value) in [
        ("index", json!(3)),
        ("size", json!(1)),
        ("size", json!(BATCH_OBJECTS_MAX + 1)),
        ("root", json!("AAAA")),
        ("hashes", json!(["AAAA"])),
        (
            "hashes",
            json!(vec![stored["signatures"][0]["batch"]["root"].clone(); 7]),
        ),
        ("extra", json!(1)),
    ] {
        assert!(with(field, value.clone()).is_err(), "{field} {value}");
    }
}
