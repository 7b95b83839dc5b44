//! Names of tools for clients that allow no dots: how one is made, and which names a list has. Calls are always
//! dispatched by the canonical name; what a list looks like is the server's.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// Characters of an alias at most: what clients with the tightest limit take.
pub const ALIAS_CHARS_MAX: usize = 64;
/// Digits of the hash that tells apart names which would look the same.
const HASH_DIGITS: usize = 8;

/// Which names a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum AliasMode {
    /// `billing.inspect_invoice`
    #[default]
    Canonical,
    /// `billing__inspect_invoice`, for clients that allow no dots.
    OpenAi,
    /// Each canonical name and, right after it, its alias.
    Both,
}

impl AliasMode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Canonical => "canonical",
            Self::OpenAi => "openai",
            Self::Both => "both",
        }
    }
}

/// The text names no mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected canonical, openai or both")]
pub struct UnknownAliasMode;

impl FromStr for AliasMode {
    type Err = UnknownAliasMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Canonical, Self::OpenAi, Self::Both]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or(UnknownAliasMode)
    }
}

/// One name of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposedName {
    pub canonical: String,
    pub exposed: String,
}

impl ExposedName {
    pub fn is_alias(&self) -> bool {
        self.exposed != self.canonical
    }

    /// `openai` for an alias, else `canonical`.
    pub fn style(&self) -> &'static str {
        if self.is_alias() { "openai" } else { "canonical" }
    }
}

/// The names of one list, and what any of them means.
#[derive(Clone, Debug)]
pub struct ToolNames {
    exposed: Vec<ExposedName>,
    canonical: HashMap<String, String>,
}

impl ToolNames {
    /// Names for tools whose canonical names are `names`, each once, in their order.
    pub fn new(names: &[&str], mode: AliasMode) -> Self {
        let aliases = aliases(names, mode == AliasMode::Both);
        let mut exposed = Vec::new();
        for (name, alias) in names.iter().zip(&aliases) {
            let mut push = |shown: &str| {
                exposed.push(ExposedName {
                    canonical: (*name).to_owned(),
                    exposed: shown.to_owned(),
                });
            };
            if mode != AliasMode::OpenAi {
                push(name);
            }
            if mode == AliasMode::OpenAi || (mode == AliasMode::Both && alias != name) {
                push(alias);
            }
        }
        let mut canonical = HashMap::new();
        let listed = exposed.iter().map(|e| (e.exposed.as_str(), e.canonical.as_str()));
        let own = names.iter().map(|name| (*name, *name));
        let other = aliases.iter().map(String::as_str).zip(names.iter().copied());
        // What a client was shown comes first, should one tool's alias be another's name.
        for (called, meant) in listed.chain(own).chain(other) {
            canonical
                .entry(called.to_owned())
                .or_insert_with(|| meant.to_owned());
        }
        Self { exposed, canonical }
    }

    /// In the order of the list.
    pub fn exposed(&self) -> &[ExposedName] {
        &self.exposed
    }

    /// The canonical name of the tool that a call names, by its canonical name or its alias, whichever is listed.
    pub fn canonical(&self, called: &str) -> Option<&str> {
        self.canonical.get(called).map(String::as_str)
    }
}

/// The alias of a name that stands alone: at most [`ALIAS_CHARS_MAX`] characters of `A-Z a-z 0-9 _ -`.
pub fn alias(name: &str) -> String {
    let plain = plain(name);
    if plain.is_empty() {
        return format!("tool_{}", hash(name, 0));
    }
    if plain.len() > ALIAS_CHARS_MAX {
        return with_hash(&plain, &hash(name, 0));
    }
    plain
}

/// Aliases that differ from each other, and from every canonical name but their own if those are `reserved`.
fn aliases(names: &[&str], reserved: bool) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::new();
    let is_reserved = |candidate: &str, own: &str| reserved && candidate != own && names.contains(&candidate);
    let mut all = Vec::with_capacity(names.len());
    for name in names {
        let first = alias(name);
        let further = (0..).map(|attempt| with_hash(&first, &hash(name, attempt)));
        let free = std::iter::once(first.clone())
            .chain(further)
            .find(|candidate| !taken.contains(candidate) && !is_reserved(candidate, name))
            .expect("there are more hashes than names");
        taken.insert(free.clone());
        all.push(free);
    }
    all
}

/// Runs of other characters as two underscores, never more than two of them, none at the ends.
fn plain(name: &str) -> String {
    let mut spelled = String::with_capacity(name.len());
    let mut is_in_run = false;
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
            spelled.push(c);
            is_in_run = false;
        } else if !is_in_run {
            spelled.push_str("__");
            is_in_run = true;
        }
    }
    let mut short = String::with_capacity(spelled.len());
    for c in spelled.chars() {
        if c != '_' || !short.ends_with("__") {
            short.push(c);
        }
    }
    short.trim_matches('_').to_owned()
}

/// `plain` is ASCII.
fn with_hash(plain: &str, hash: &str) -> String {
    let kept = &plain[..plain.len().min(ALIAS_CHARS_MAX - 1 - hash.len())];
    format!("{}_{hash}", kept.trim_end_matches('_'))
}

/// The first digits of the name's hash; further attempts hash the name with their number.
fn hash(name: &str, attempt: u32) -> String {
    let mut hasher = Sha256::new();
    hasher.update(name);
    if attempt > 0 {
        hasher.update(format!("\0{attempt}"));
    }
    let mut digits = hex::encode(hasher.finalize());
    digits.truncate(HASH_DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn modes_are_read_as_they_are_written() {
        for mode in [AliasMode::Canonical, AliasMode::OpenAi, AliasMode::Both] {
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        assert_eq!("OpenAI".parse::<AliasMode>(), Err(UnknownAliasMode));
    }

    #[test]
    fn either_name_means_its_tool_in_every_mode_and_an_unknown_one_means_none() {
        let names = ["a.b", "a._b"];
        for mode in [AliasMode::Canonical, AliasMode::OpenAi, AliasMode::Both] {
            let made = ToolNames::new(&names, mode);
            for name in names {
                assert_eq!(made.canonical(name), Some(name), "{mode:?}");
            }
            assert_eq!(made.canonical("a__b"), Some("a.b"), "{mode:?}");
            let second = format!("a__b_{}", hash("a._b", 0));
            assert_eq!(made.canonical(&second), Some("a._b"), "{mode:?}");
            assert_eq!(made.canonical("a.c"), None, "{mode:?}");
        }
    }

    #[test]
    fn a_listed_name_means_what_it_was_listed_for() {
        let names = ["a.b", "a__b"];
        let open = ToolNames::new(&names, AliasMode::OpenAi);
        assert_eq!(open.canonical("a__b"), Some("a.b"));
        for mode in [AliasMode::Canonical, AliasMode::Both] {
            assert_eq!(
                ToolNames::new(&names, mode).canonical("a__b"),
                Some("a__b"),
                "{mode:?}"
            );
        }
    }

    #[test]
    fn a_hash_that_is_taken_gives_way_to_another() {
        let clash = format!("a__b_{}", hash("a._b", 0));
        let made = ToolNames::new(&["a.b", &clash, "a._b"], AliasMode::OpenAi);
        let shown: Vec<&str> = made.exposed().iter().map(|e| e.exposed.as_str()).collect();
        assert_eq!(shown, ["a__b", &clash, &format!("a__b_{}", hash("a._b", 1))]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn aliases_are_unique_short_and_of_plain_characters(
            names in proptest::collection::hash_set("[a-c._é-]{0,5}|[a-z_]{1,40}\\.[a-z_]{1,40}", 1..12),
            reserved in any::<bool>(),
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let made = aliases(&names, reserved);
            let unique: HashSet<&String> = made.iter().collect();
            prop_assert_eq!(unique.len(), names.len());
            for (name, alias) in names.iter().zip(&made) {
                prop_assert!((1..=ALIAS_CHARS_MAX).contains(&alias.len()), "{}", alias);
                prop_assert!(alias.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)), "{}", alias);
                prop_assert!(!reserved || alias == name || !names.contains(&alias.as_str()));
            }
        }

        #[test]
        fn each_list_has_unique_names_that_lead_back_to_their_tools(
            names in proptest::collection::hash_set("[a-c_]{1,3}(\\.[a-c_]{1,3})?", 1..12),
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            for mode in [AliasMode::Canonical, AliasMode::OpenAi, AliasMode::Both] {
                let made = ToolNames::new(&names, mode);
                let unique: HashSet<&String> = made.exposed().iter().map(|e| &e.exposed).collect();
                prop_assert_eq!(unique.len(), made.exposed().len());
                for e in made.exposed() {
                    prop_assert_eq!(made.canonical(&e.exposed), Some(e.canonical.as_str()));
                }
            }
        }
    }
}
