//! Stored functions and procedures behind a trigger without the closed form. Every routine of the database
//! whose name occurs in the trigger's text, even in a comment or a string, counts as called. The same applies
//! to the routines that it names. So the digest covers at least the code that runs.

use std::collections::BTreeMap;

use super::foreign_code::called;
use super::session::Cells;
use synapsor_source::error::EngineError;

/// Maximum depth at which routines may name further routines.
pub const DEPTH_MAX: usize = 8;
const UNREADABLE: &str =
    "calls a function or procedure whose definition the procedures of the migration cannot read";
const ELSEWHERE: &str = "may call a function or procedure of another database";
const AMBIGUOUS: &str = "spells names so that the called routine is ambiguous";
const UNSEEN: &str = "calls functions, which the owner of the migration's procedures cannot see: create them as an owner with \
     the right EXECUTE on the database";
/// Reason why a trigger that can call routines cannot be acknowledged without the procedure.
pub const OLD_PROCEDURES: &str = "may call functions, which only the current procedures of the migration report: run \
     `writeback migration` and its grants again";
const TOO_DEEP: &str = "calls functions nested too deeply";

/// Known routines that some texts name.
#[derive(Debug, Default)]
pub struct Routines {
    /// The database.
    home: String,
    /// The whole definition by kind and name.
    definitions: BTreeMap<String, Vec<String>>,
    count: usize,
    bodies: Vec<String>,
    is_unreadable: bool,
    is_seen: bool,
    is_elsewhere: bool,
    /// Whether more routines were named than were requested.
    pub is_too_deep: bool,
}

impl Routines {
    /// Builds them from the rows of the procedure.
    pub fn of(home: &str, rows: &[Cells]) -> Result<Self, EngineError> {
        let mut found = Self {
            home: home.to_owned(),
            ..Self::default()
        };
        for row in rows {
            let cell = |at| row.optional(at);
            match row.text(0)?.as_str() {
                "sees" => found.is_seen = row.text(7)? == "1",
                "elsewhere" => found.is_elsewhere = row.text(7)? == "1",
                what => {
                    let is_routine = what == "routine";
                    let name = row.text(1)?;
                    let key = format!("{} {name}", row.text(2)?);
                    let cells = (3..=7).map(cell).collect::<Result<Vec<_>, _>>()?;
                    if is_routine {
                        found.is_unreadable |= cells[0].is_none() || cells[1].as_deref() != Some("SQL");
                        found.bodies.extend(cells[0].clone());
                        found.count += 1;
                    }
                    let parts = cells.into_iter().map(Option::unwrap_or_default);
                    let line = format!("{what}\n{}", parts.collect::<Vec<_>>().join("\n"));
                    found.definitions.entry(key).or_default().push(line);
                }
            }
        }
        found.definitions.values_mut().for_each(|lines| lines.sort());
        Ok(found)
    }

    /// Returns no routines, where every one would be visible.
    #[cfg(test)]
    pub fn all_seen() -> Self {
        Self {
            is_seen: true,
            ..Self::default()
        }
    }

    /// Number of routines.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Returns their bodies as one text.
    pub fn text(&self) -> String {
        self.bodies.join("\n")
    }

    /// Returns one text for a digest: it changes with any part of any definition.
    pub fn definition(&self) -> String {
        let lines = self.definitions.iter();
        let lines = lines.map(|(key, lines)| format!("{key}\n{}", lines.join("\n")));
        lines.collect::<Vec<_>>().join("\n\n")
    }

    /// Returns the reason why a trigger with this body cannot be acknowledged, if there is one.
    pub fn obstacle(&self, body: &str) -> Option<&'static str> {
        let texts = || std::iter::once(body).chain(self.bodies.iter().map(String::as_str));
        // Every routine of this database is visible; another name can be a table.
        let is_foreign = |name: &String| {
            let plain: String = name.chars().filter(|c| !matches!(c, '`' | '"')).collect();
            let parts: Vec<&str> = plain.split('.').collect();
            !matches!(parts[..], [_]) && !matches!(parts[..], [home, _] if home == self.home)
        };
        if self.is_too_deep {
            return Some(TOO_DEEP);
        }
        if self.is_unreadable {
            return Some(UNREADABLE);
        }
        if self.is_elsewhere {
            return Some(ELSEWHERE);
        }
        if texts().any(hides_names) {
            return Some(AMBIGUOUS);
        }
        if texts().any(|text| called(text).iter().any(is_foreign)) {
            return Some(UNREADABLE);
        }
        let may_call = |text: &str| text.contains('(') || !called(text).is_empty();
        (!self.is_seen && texts().any(may_call)).then_some(UNSEEN)
    }
}

/// Whether a name is spelled so that its parts cannot be recognized: a quote inside quotes, or a point beside
/// a comment.
fn hides_names(text: &str) -> bool {
    if text.contains("``") || text.contains("\"\"") && text.contains(".\"") {
        return true;
    }
    text.match_indices('.').any(|(at, _)| {
        let (before, after) = (text[..at].trim_end(), text[at + 1..].trim_start());
        let line = before.rsplit('\n').next().unwrap_or_default();
        let is_line_end = text[before.len()..at].contains('\n');
        before.ends_with("*/")
            || after.starts_with("/*")
            || after.starts_with("--")
            || after.starts_with('#')
            || is_line_end && (line.contains("--") || line.contains('#'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beside_comments_are_ambiguous() {
        for text in [
            "SET @a = other/**/.f(1)",
            "SET @a = other. /* x */ f(1)",
            "SET @a = other -- x\n .f(1)",
            "SET @a = `a``b`(1)",
        ] {
            assert!(hides_names(text), "{text}");
        }
        for text in [
            "SET NEW.a = app.f(1) /* x */; -- y",
            "SET NEW.fee = 1.5, NEW.x = ''",
        ] {
            assert!(!hides_names(text), "{text}");
        }
    }
}
