//! Decides whether one line of text may be printed as it is.

use icu_properties::props::{EastAsianWidth, GeneralCategory, GeneralCategoryGroup, Script};
use icu_properties::script::ScriptWithExtensions;
use icu_properties::{CodePointMapData, PropertyNamesLong, PropertyNamesShort};
use synapsor_chassis::invisible::is_invisible;

use crate::output::safe;

/// Maximum number of combining marks on one letter.
const MARKS_MAX: usize = 3;
/// Blanks that languages use: the no-break spaces and the ideographic space. They look like a space, so they are escaped.
const BLANKS: [char; 3] = ['\u{a0}', '\u{202f}', '\u{3000}'];
/// Start of an escape.
const ESCAPE: &str = "\\u{";

/// Whether a text has characters that the signed spelling escapes, save for blanks at its ends.
pub(super) fn needs_reading(text: &str) -> bool {
    !text.chars().all(|c| (' '..='~').contains(&c))
}

/// A line of foreign text as it may be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReadableLine {
    /// Printed as it is, except for blanks; with the script of its letters, unless that is Latin.
    Plain {
        text: String,
        system: Option<System>,
        has_blanks: bool,
    },
    /// Printed with escapes.
    Escaped { text: String, reason: String },
}

impl ReadableLine {
    pub(super) fn of(line: &str) -> Self {
        match system_of(line) {
            Ok(system) => {
                let has_blanks = line.contains(BLANKS);
                Self::Plain {
                    text: if has_blanks {
                        with_escaped_blanks(line)
                    } else {
                        line.to_owned()
                    },
                    system: system.filter(|system| *system != System::One(Script::Latin)),
                    has_blanks,
                }
            }
            Err(reason) => Self::Escaped {
                text: safe(line),
                reason,
            },
        }
    }
}

/// Escapes blanks, and backslashes, so that no other text looks like an escape.
fn with_escaped_blanks(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            _ if BLANKS.contains(&c) => text.push_str(&safe(c.encode_utf8(&mut [0; 4]))),
            _ => text.push(c),
        }
    }
    text
}

/// Returns the first escape or character of a printed line.
pub(super) fn token(line: &str) -> &str {
    let first = line.chars().next().map_or(0, char::len_utf8);
    let length = if line.starts_with(ESCAPE) {
        line.find('}').map_or(first, |end| end + 1)
    } else if line.starts_with("\\\\") {
        2
    } else {
        first
    };
    &line[..length]
}

/// A set of scripts that one language writes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    One(Script),
    /// Han, Hiragana and Katakana.
    Japanese,
    /// Han and Hangul.
    Korean,
    /// Han and Bopomofo.
    Taiwanese,
}

impl System {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::One(script) => PropertyNamesLong::<Script>::new()
                .get(script)
                .unwrap_or("unknown"),
            Self::Japanese => "Japanese",
            Self::Korean => "Korean",
            Self::Taiwanese => "Bopomofo",
        }
    }

    /// Code of ISO 15924.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::One(script) => PropertyNamesShort::<Script>::new().get(script).unwrap_or("Zzzz"),
            Self::Japanese => "Jpan",
            Self::Korean => "Kore",
            Self::Taiwanese => "Hanb",
        }
    }
}

/// Number of terminal columns that a character takes.
pub(super) fn width(c: char) -> usize {
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    match CodePointMapData::<EastAsianWidth>::new().get(c) {
        _ if matches!(
            category,
            GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark
        ) =>
        {
            0
        }
        EastAsianWidth::Wide | EastAsianWidth::Fullwidth => 2,
        _ => 1,
    }
}

/// Returns the writing system of the letters of a line, if it has any; or the reason against printing it.
fn system_of(line: &str) -> Result<Option<System>, String> {
    if line.contains(ESCAPE) {
        return Err(format!("it contains `{ESCAPE}`, as escapes do"));
    }
    let mut systems: Option<Vec<System>> = None;
    // Marks on the character before; `None` if there is none that they could belong to.
    let mut marks = None;
    for c in line.chars() {
        if BLANKS.contains(&c) {
            marks = None;
            continue;
        }
        let category = CodePointMapData::<GeneralCategory>::new().get(c);
        if is_invisible(c) || !is_printed(category) {
            return Err(format!(
                "it contains U+{:04X}, which does not print",
                u32::from(c)
            ));
        }
        marks = match marks {
            _ if !GeneralCategoryGroup::Mark.contains(category) => Some(0),
            None => return Err("it has a mark that belongs to no letter".to_owned()),
            Some(MARKS_MAX) => return Err(format!("it has more than {MARKS_MAX} marks on one letter")),
            Some(marks) => Some(marks + 1),
        };
        let own = systems_of(c);
        if own.is_empty() {
            // Mathematical letters imitate those of every script; the few common letters of Latin-1 do not.
            if GeneralCategoryGroup::Letter.contains(category) && c > '\u{ff}' {
                return Err(format!(
                    "it contains U+{:04X}, a letter of no script",
                    u32::from(c)
                ));
            }
            continue;
        }
        systems = Some(match systems {
            None => own,
            Some(so_far) => {
                let both: Vec<System> = so_far.iter().copied().filter(|s| own.contains(s)).collect();
                if both.is_empty() {
                    let [one, other] = [&so_far, &own].map(|systems| systems[0].name());
                    return Err(format!("it mixes {one} and {other} letters"));
                }
                both
            }
        });
    }
    Ok(systems.map(|systems| systems[0]))
}

fn is_printed(category: GeneralCategory) -> bool {
    [
        GeneralCategoryGroup::Letter,
        GeneralCategoryGroup::Number,
        GeneralCategoryGroup::Punctuation,
        GeneralCategoryGroup::Symbol,
    ]
    .iter()
    .any(|group| group.contains(category))
        || matches!(
            category,
            GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark | GeneralCategory::SpaceSeparator
        )
}

/// Returns the writing systems that a character belongs to; empty if it belongs to all.
fn systems_of(c: char) -> Vec<System> {
    let mut systems = Vec::new();
    for script in ScriptWithExtensions::new().get_script_extensions_val(c).iter() {
        let wider: &[System] = match script {
            Script::Common | Script::Inherited => return Vec::new(),
            Script::Han => &[System::Japanese, System::Korean, System::Taiwanese],
            Script::Hiragana | Script::Katakana => &[System::Japanese],
            Script::Hangul => &[System::Korean],
            Script::Bopomofo => &[System::Taiwanese],
            _ => &[],
        };
        systems.push(System::One(script));
        systems.extend(wider);
    }
    systems
}
