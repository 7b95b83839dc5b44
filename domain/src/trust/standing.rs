//! Whether a key's signature counts: one rule for the keys of readers, writers, ledgers and operators, in every
//! process.
//!
//! A retired key verifies what it signed before its retirement and nothing after. Nobody can tell when a signature was
//! made, but everybody can check where the log holds it: a position below the size at which the key was retired, in a
//! log that continues that state. The size alone would let a forked log fill the positions below it.

use super::{OperatorKey, ServiceKey};
use crate::log::{TREE_SIZE_MAX, TreeHead};
use crate::signing::PublicKey;

/// Whether a key signs, or since when it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStanding {
    InUse,
    /// Retired at this state of the log. `None`: the trust file names no state, and this process had pinned none when
    /// it read the file.
    Retired(Option<TreeHead>),
}

/// Where the log holds a signed object, as far as the verifier proved it.
#[derive(Clone, Copy)]
pub enum Position<'a> {
    /// Just presented, or nowhere proven.
    Unproven,
    /// Included at `index` under a head that the verifier trusts; `continues` tells whether that head provably
    /// continues an older one.
    Logged {
        index: u64,
        continues: &'a (dyn Fn(&TreeHead) -> bool + Sync),
    },
}

/// Why the signature of a retired key does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RetiredKey {
    #[error("the key is retired, and nothing proves that the log held this before")]
    Unproven,
    #[error("the key was retired at {size} events of the log; this is event {index}")]
    SignedAfter { size: u64, index: u64 },
    #[error("the key is retired, and the log does not provably continue the one at its retirement")]
    OtherHistory,
}

impl KeyStanding {
    /// Checks whether the key's signature on an object at `position` counts.
    ///
    /// # Errors
    /// [`RetiredKey`], which names what is missing.
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

    /// The same for reading back a bundle, where nothing can take effect: there is no pinned state, so a key whose
    /// retirement names none verifies as before.
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

/// What the trust file says of a retirement, the same for every kind of key.
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

            /// Whether the key signs, or since when it does not.
            pub fn standing(&self) -> KeyStanding {
                self.retirement().standing()
            }

            pub fn is_retired(&self) -> bool {
                self.standing() != KeyStanding::InUse
            }

            /// Sets the state at which a key without one counts as retired; one that was set before stays.
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
    /// The public key, for an object at `position`.
    ///
    /// # Errors
    /// [`RetiredKey`].
    pub fn for_object_at(&self, position: &Position<'_>) -> Result<&PublicKey, RetiredKey> {
        self.standing().check(position).map(|()| &self.public_key)
    }
}
