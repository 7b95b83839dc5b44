//! Tool aliases for clients that reject dots in names. Calls are always dispatched by the canonical name; the
//! server chooses which names it lists.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// Maximum length of an alias, in characters: the limit of the strictest clients.
pub const ALIAS_CHARS_MAX: usize = 64;
/// Number of hash digits that distinguish names with the same plain form.
const HASH_DIGITS: usize = 8;

/// Names that a tool list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum AliasMode {
    /// `billing.inspect_invoice`
    #[default]
    Canonical,
    /// `billing__inspect_invoice`, for clients that reject dots.
    OpenAi,
    /// Each canonical name, followed by its alias.
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

/// String that is not an alias mode.
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

/// Name in a tool list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposedName {
    pub canonical: String,
    pub exposed: String,
}

impl ExposedName {
    pub fn is_alias(&self) -> bool {
        self.exposed != self.canonical
    }

    /// Returns `openai` for an alias, otherwise `canonical`.
    pub fn style(&self) -> &'static str {
        if self.is_alias() { "openai" } else { "canonical" }
    }
}

/// Names of one tool list, with the tool that each name identifies.
#[derive(Clone, Debug)]
pub struct ToolNames {
    exposed: Vec<ExposedName>,
    canonical: HashMap<String, String>,
}

impl ToolNames {
    /// Assigns names to tools with these unique canonical names, in their order.
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
        // Listed names take precedence, in case one tool's alias equals another tool's name.
        for (called, meant) in listed.chain(own).chain(other) {
            canonical
                .entry(called.to_owned())
                .or_insert_with(|| meant.to_owned());
        }
        Self { exposed, canonical }
    }

    /// Returns the names in list order.
    pub fn exposed(&self) -> &[ExposedName] {
        &self.exposed
    }

    /// Returns the canonical name of the called tool; accepts its canonical name and its alias, whichever is
    /// listed.
    pub fn canonical(&self, called: &str) -> Option<&str> {
        self.canonical.get(called).map(String::as_str)
    }
}

/// Returns the alias of a single name: at most [`ALIAS_CHARS_MAX`] characters of `A-Z a-z 0-9 _ -`.
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

/// Returns distinct aliases. If `reserved`, an alias also differs from every canonical name except its own.
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

/// Replaces each run of other characters with two underscores, never more than two, none at the ends.
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

/// Appends the hash; `plain` is ASCII.
fn with_hash(plain: &str, hash: &str) -> String {
    let kept = &plain[..plain.len().min(ALIAS_CHARS_MAX - 1 - hash.len())];
    format!("{}_{hash}", kept.trim_end_matches('_'))
}

/// Returns the first digits of the name's hash; further attempts also hash their number.
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
    fn alias_modes_parse_from_their_names() {
        for mode in [AliasMode::Canonical, AliasMode::OpenAi, AliasMode::Both] {
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        assert_eq!("OpenAI".parse::<AliasMode>(), Err(UnknownAliasMode));
    }

    #[test]
    fn both_names_resolve_in_every_mode_and_unknown_ones_do_not() {
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
    fn listed_name_resolves_to_its_own_tool() {
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
    fn colliding_hash_is_replaced() {
        let clash = format!("a__b_{}", hash("a._b", 0));
        let made = ToolNames::new(&["a.b", &clash, "a._b"], AliasMode::OpenAi);
        let shown: Vec<&str> = made.exposed().iter().map(|e| e.exposed.as_str()).collect();
        assert_eq!(shown, ["a__b", &clash, &format!("a__b_{}", hash("a._b", 1))]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn aliases_are_unique_short_and_plain(
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
        fn listed_names_are_unique_and_resolve_to_their_tools(
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
