//! Options that select how tools are listed: their names, and the form of their schemas. Not a command of its own.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use synapsor_domain::tool::{AliasMode, SchemaProfile, dots_warning};

use crate::output;

const MODES: [&str; 3] = [
    AliasMode::Canonical.as_str(),
    AliasMode::OpenAi.as_str(),
    AliasMode::Both.as_str(),
];

const PROFILES: [&str; 4] = [
    SchemaProfile::Full.as_str(),
    SchemaProfile::Lean.as_str(),
    SchemaProfile::Gemini.as_str(),
    SchemaProfile::OpenAiStrict.as_str(),
];

/// Tool names in a list, and the form of the tools. Calls accept either name, whatever is listed.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct NameOptions {
    /// Listed tool names: canonical (with dots), openai (without dots), or both [default: canonical]
    #[arg(
        long,
        value_name = "MODE",
        visible_alias = "tool-name-style",
        value_parser = PossibleValuesParser::new(MODES).try_map(|mode| mode.parse::<AliasMode>())
    )]
    alias_mode: Option<AliasMode>,
    /// Same as --alias-mode openai
    #[arg(long, conflicts_with = "alias_mode")]
    openai_tool_aliases: bool,
    /// Form of the listed tools: full, lean (no output schemas), gemini, or openai-strict [default: full]
    #[arg(
        long,
        value_name = "PROFILE",
        value_parser = PossibleValuesParser::new(PROFILES).try_map(|profile| profile.parse::<SchemaProfile>())
    )]
    schema_profile: Option<SchemaProfile>,
}

impl NameOptions {
    /// Returns the requested mode, if any.
    pub(crate) fn asked(self) -> Option<AliasMode> {
        if self.openai_tool_aliases {
            Some(AliasMode::OpenAi)
        } else {
            self.alias_mode
        }
    }

    pub(crate) fn mode(self) -> AliasMode {
        self.asked().unwrap_or_default()
    }

    /// Returns the requested profile, if any.
    pub(crate) const fn asked_profile(self) -> Option<SchemaProfile> {
        self.schema_profile
    }

    pub(crate) fn profile(self) -> SchemaProfile {
        self.schema_profile.unwrap_or_default()
    }
}

/// Notes which clients refuse the names that a server lists. Over stdio the gateway itself logs it.
pub(crate) fn note_refused_names(mode: AliasMode) {
    if mode != AliasMode::OpenAi {
        output::note(dots_warning());
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Preflight {
        #[command(flatten)]
        names: NameOptions,
    }

    fn mode(words: &[&str]) -> Option<AliasMode> {
        let words = std::iter::once("x").chain(words.iter().copied());
        Preflight::try_parse_from(words)
            .ok()
            .map(|probe| probe.names.mode())
    }

    #[test]
    fn legacy_flags_map_to_alias_mode() {
        assert_eq!(mode(&[]), Some(AliasMode::Canonical));
        assert_eq!(mode(&["--alias-mode", "both"]), Some(AliasMode::Both));
        assert_eq!(mode(&["--tool-name-style", "openai"]), Some(AliasMode::OpenAi));
        assert_eq!(mode(&["--openai-tool-aliases"]), Some(AliasMode::OpenAi));
        assert_eq!(mode(&["--alias-mode", "dotless"]), None);
        assert_eq!(mode(&["--alias-mode", "both", "--openai-tool-aliases"]), None);
    }
}
