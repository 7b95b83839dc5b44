//! The list of words with the versions that brought them, and the words of a statement.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context as _, bail};

use crate::databases::Engine;

/// `word  version of MySQL  version of MariaDB  kind`; `-` for a server to which the word is not sent.
const LIST: &str = include_str!("../../fixtures/server_features.txt");

/// Version of a server: major, minor and patch number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// The number in conditional comments: `80016` is 8.0.16.
    const fn of_comment(number: u32) -> Self {
        Self(number / 10_000, number / 100 % 100, number % 100)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl std::str::FromStr for Version {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('.').map(str::parse);
        let mut part = || parts.next().unwrap_or(Ok(0));
        Ok(Self(part()?, part()?, part()?))
    }
}

/// What a word is to a server; decides the server's error if it does not know the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureKind {
    Syntax,
    Function,
    Variable,
    /// Table of `information_schema`.
    Table,
    /// Column of a table of `information_schema`.
    Column,
    /// Name that our statements give: an alias, a parameter, a column of our own tables.
    Own,
}

/// A word and the version that brought it.
#[derive(Debug, Clone, Copy)]
pub struct Feature {
    pub since: Version,
    pub kind: FeatureKind,
}

/// The words of our statements, for one product.
#[derive(Debug, Clone)]
pub struct Features {
    product: Engine,
    words: BTreeMap<String, Feature>,
}

impl Features {
    /// Reads the list for MySQL or MariaDB.
    ///
    /// # Errors
    /// A line that is not of the list's form, or repeated.
    pub fn of(product: Engine) -> anyhow::Result<Self> {
        let mut words = BTreeMap::new();
        for line in LIST
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let parts: Vec<&str> = line.split_whitespace().collect();
            let [word, mysql, mariadb, kind] = parts[..] else {
                bail!("not four parts: {line}");
            };
            let since = if product == Engine::Mysql { mysql } else { mariadb };
            let kind = match kind {
                "syntax" => FeatureKind::Syntax,
                "function" => FeatureKind::Function,
                "variable" => FeatureKind::Variable,
                "table" => FeatureKind::Table,
                "column" => FeatureKind::Column,
                "own" => FeatureKind::Own,
                _ => bail!("no kind: {line}"),
            };
            if since == "-" {
                continue;
            }
            let since = since.parse().with_context(|| line.to_owned())?;
            if words.insert(word.to_owned(), Feature { since, kind }).is_some() {
                bail!("repeated: {line}");
            }
        }
        Ok(Self { product, words })
    }

    /// Returns the words of a statement that are not in the list.
    pub fn unlisted(&self, statement: &str) -> BTreeSet<String> {
        let used = words(self.product, statement);
        used.into_iter()
            .filter(|word| !self.words.contains_key(word))
            .collect()
    }

    /// Returns the first word of a statement that a server of this version does not know.
    pub fn newer_than(&self, version: Version, statement: &str) -> Option<(String, Feature)> {
        words(self.product, statement).into_iter().find_map(|word| {
            let feature = *self.words.get(&word)?;
            (feature.since > version).then_some((word, feature))
        })
    }

    /// Every word of the list.
    pub fn all(&self) -> impl Iterator<Item = (&str, Feature)> {
        self.words.iter().map(|(word, feature)| (word.as_str(), *feature))
    }
}

/// Returns the words of a statement outside of quotes, numbers, comments and user variables, in lower case. The text
/// of a conditional comment counts for the product that reads it.
pub fn words(product: Engine, statement: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = statement;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '\'' | '"' | '`' => after_quoted(rest, first),
            '/' if rest.starts_with("/*") => {
                let (comment, after) = rest[2..].split_once("*/").unwrap_or((&rest[2..], ""));
                if let Some(text) = read_by(product, comment) {
                    found.extend(words(product, text));
                }
                after
            }
            '-' if rest.starts_with("-- ") => rest.split_once('\n').map_or("", |(_, after)| after),
            '@' if !rest.starts_with("@@") => &rest[1 + word_len(&rest[1..])..],
            _ if word_len(rest) > 0 => {
                let (word, after) = rest.split_at(word_len(rest));
                if !word.starts_with(|c: char| c.is_ascii_digit()) {
                    found.insert(word.to_ascii_lowercase());
                }
                after
            }
            '@' => &rest[2..],
            other => &rest[other.len_utf8()..],
        };
    }
    found
}

/// Returns the text of a conditional comment if the product reads it.
fn read_by(product: Engine, comment: &str) -> Option<&str> {
    let is_mariadb = product == Engine::Mariadb;
    if let Some(text) = comment.strip_prefix("M!") {
        return is_mariadb.then(|| text.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    let text = comment.strip_prefix('!')?;
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, text) = text.split_at(digits);
    let since = number.parse().map_or(Version(0, 0, 0), Version::of_comment);
    // MariaDB skips the numbers of MySQL 5.7 and later.
    let is_read = !is_mariadb || since < Version(5, 7, 0);
    is_read.then_some(text)
}

fn after_quoted(text: &str, quote: char) -> &str {
    let mut rest = &text[1..];
    loop {
        let Some(end) = rest.find(quote) else {
            return "";
        };
        rest = &rest[end + 1..];
        match rest.strip_prefix(quote) {
            Some(more) => rest = more,
            None => return rest,
        }
    }
}

fn word_len(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '$'))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_outside_of_quotes_and_comments() {
        let statement =
            "SELECT @@session.sql_mode, @own, 'it''s', `name` -- rest\nFROM /* no */ t WHERE 10 = f(x)";
        let expected = ["f", "from", "select", "session", "sql_mode", "t", "where", "x"];
        assert!(words(Engine::Mysql, statement).iter().eq(expected));
    }

    #[test]
    fn conditional_comments_count_for_the_product_that_reads_them() {
        let statement = "a/*!80016 b */ /*M! c */ /*!50100 d */";
        assert!(words(Engine::Mysql, statement).iter().eq(["a", "b", "d"]));
        assert!(words(Engine::Mariadb, statement).iter().eq(["a", "c", "d"]));
    }

    #[test]
    fn newer_word_is_found_with_its_version() -> anyhow::Result<()> {
        let features = Features::of(Engine::Mysql)?;
        let statement = "SELECT ENFORCED FROM information_schema.TABLE_CONSTRAINTS";
        assert!(features.newer_than(Version(8, 0, 16), statement).is_none());
        let (word, feature) = features
            .newer_than(Version(8, 0, 15), statement)
            .context("no word")?;
        assert_eq!((word.as_str(), feature.since), ("enforced", Version(8, 0, 16)));
        assert_eq!(feature.kind, FeatureKind::Column);
        Ok(())
    }
}
