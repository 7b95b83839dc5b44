//! Decides whether a key's signature counts: one rule for the keys of readers, writers, ledgers and operators,
//! in every process.
//!
//! A retired key verifies what it signed before its retirement and nothing after. The time of a signature cannot
//! be verified, but its position in the log can. The position must be below the log size at retirement, in a log
//! that continues the head of the retirement. The size alone is not sufficient: a forked log could fill the
//! positions below it.

use super::{OperatorKey, ServiceKey};
use crate::log::{TREE_SIZE_MAX, TreeHead};
use crate::signing::PublicKey;

/// Standing of a key: in use, or retired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStanding {
    InUse,
    /// Retired at this tree head. `None`: the trust file names no head, and this process had pinned none when it
    /// read the file.
    Retired(Option<TreeHead>),
}

/// Proven position of a signed object in the log.
#[derive(Clone, Copy)]
pub enum Position<'a> {
    /// Newly presented, or without a proof.
    Unproven,
    /// Included at `index` under a head that the verifier trusts; `continues` returns whether that head provably
    /// continues an older one.
    Logged {
        index: u64,
        continues: &'a (dyn Fn(&TreeHead) -> bool + Sync),
    },
}

/// Reason why the signature of a retired key does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RetiredKey {
    #[error("key is retired, and no proof shows that the log held this before")]
    Unproven,
    #[error("key was retired at log size {size}; this is event {index}")]
    SignedAfter { size: u64, index: u64 },
    #[error("key is retired, and the log does not provably continue the log at its retirement")]
    OtherHistory,
}

impl KeyStanding {
    /// Checks whether the key's signature on an object at `position` counts.
    ///
    /// # Errors
    /// [`RetiredKey`] names the missing proof.
    pub fn check(&self, position: &Position<'_>) -> Result<(), RetiredKey> {
        let Self::Retired(head) = self else {
            return Ok(());
        };
        let (Some(head), Position::Logged { index, continues }) = (head, position) else {
            return Err(RetiredKey::Unproven);
        };
        if *index >= head.size {
            return Err(RetiredKey::SignedAfter {
                size: head.size,
                index: *index,
            });
        }
        if continues(head) {
            Ok(())
        } else {
            Err(RetiredKey::OtherHistory)
        }
    }

    /// Checks like [`Self::check`], for reading a bundle, which can have no effect. There is no pinned
    /// checkpoint, so a key whose retirement names no head verifies as before.
    ///
    /// # Errors
    /// [`RetiredKey`].
    pub fn check_past(&self, position: &Position<'_>) -> Result<(), RetiredKey> {
        match self {
            Self::Retired(None) => Ok(()),
            Self::InUse | Self::Retired(Some(_)) => self.check(position),
        }
    }
}

impl std::fmt::Debug for Position<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unproven => f.write_str("Unproven"),
            Self::Logged { index, .. } => f
                .debug_struct("Logged")
                .field("index", index)
                .finish_non_exhaustive(),
        }
    }
}

/// Retirement fields of an entry, the same for every kind of key.
struct Entry<'a> {
    retired: bool,
    size: Option<u64>,
    root: Option<&'a str>,
    pinned: Option<TreeHead>,
}

impl Entry<'_> {
    fn standing(&self) -> KeyStanding {
        match (self.size, self.root.and_then(root_of)) {
            (Some(size), Some(root)) => KeyStanding::Retired(Some(TreeHead { size, root })),
            _ if self.retired => KeyStanding::Retired(self.pinned),
            _ => KeyStanding::InUse,
        }
    }

    fn is_bare(&self) -> bool {
        self.retired && self.size.is_none()
    }

    fn problem(&self) -> Option<&'static str> {
        match (self.size, self.root) {
            (None, None) => None,
            (Some(_), None) => Some("retired_at_root: is missing beside retired_at_size"),
            (None, Some(_)) => Some("retired_at_size: is missing beside retired_at_root"),
            (Some(size), Some(_)) if size == 0 || size > TREE_SIZE_MAX => {
                Some("retired_at_size: must be 1 or more events")
            }
            (Some(_), Some(root)) if root_of(root).is_none() => {
                Some("retired_at_root: must be 64 lower-case hex digits")
            }
            (Some(_), Some(_)) => None,
        }
    }
}

fn root_of(text: &str) -> Option<[u8; 32]> {
    let mut root = [0; 32];
    hex::decode_to_slice(text, &mut root).ok()?;
    (hex::encode(root) == text).then_some(root)
}

macro_rules! with_retirement {
    ($key:ty) => {
        impl $key {
            fn retirement(&self) -> Entry<'_> {
                Entry {
                    retired: self.retired,
                    size: self.retired_at_size,
                    root: self.retired_at_root.as_deref(),
                    pinned: self.pinned_at,
                }
            }

            /// Returns the standing of the key.
            pub fn standing(&self) -> KeyStanding {
                self.retirement().standing()
            }

            pub fn is_retired(&self) -> bool {
                self.standing() != KeyStanding::InUse
            }

            /// Sets the retirement head of a key that names none; a head that is already set stays.
            pub(super) fn pin(&mut self, pinned: Option<TreeHead>, earlier: Option<&Self>) {
                if self.retirement().is_bare() {
                    let earlier = earlier.filter(|key| key.retirement().is_bare());
                    self.pinned_at = earlier.and_then(|key| key.pinned_at).or(pinned);
                }
            }

            pub(super) fn retirement_problem(&self) -> Option<&'static str> {
                self.retirement().problem()
            }
        }
    };
}

with_retirement!(ServiceKey);
with_retirement!(OperatorKey);

impl ServiceKey {
    /// Returns the public key, for an object at `position`.
    ///
    /// # Errors
    /// [`RetiredKey`].
    pub fn for_object_at(&self, position: &Position<'_>) -> Result<&PublicKey, RetiredKey> {
        self.standing().check(position).map(|()| &self.public_key)
    }
}
