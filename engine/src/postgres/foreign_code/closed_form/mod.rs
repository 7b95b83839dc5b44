//! Recognizes the one trigger function body that is accepted without an acknowledgement: it sets columns of
//! `NEW` from constants, `OLD`, `NEW`, `+`, `-` and the current time, and returns `NEW`.
//!
//! ```text
//! body       = BEGIN assignment* RETURN NEW ; END [;]
//! assignment = NEW . column ( := | = ) sum ;
//! sum        = term ( ( + | - ) term )*
//! term       = [-] number | 'text' | TRUE | FALSE | NULL | ( NEW | OLD ) . column | ( sum )
//!            | CURRENT_TIMESTAMP | [pg_catalog .] clock ( )
//! clock      = now | clock_timestamp | statement_timestamp | transaction_timestamp
//! ```
//!
//! No name in it can refer to code of an owner: operators and clocks resolve to the server's own schema,
//! because the writer's search path contains nothing else. A body outside this grammar does not have the
//! closed form.

/// Maximum size of a body, in bytes; longer ones are rejected unread.
const SOURCE_BYTES_MAX: usize = 16 * 1024;
/// Maximum nesting depth of parentheses.
const DEPTH_MAX: u32 = 16;
/// Functions of the server that return the current time.
const CLOCKS: [&str; 4] = [
    "now",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
];

/// Whether the body of a plpgsql trigger function has the closed form.
pub(super) fn is_closed(source: &str) -> bool {
    if source.len() > SOURCE_BYTES_MAX {
        return false;
    }
    let Some(tokens) = tokens(source) else {
        return false;
    };
    let mut parser = Parser { rest: &tokens };
    parser.body().is_some() && parser.rest.is_empty()
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// A word without quotes, in lower case.
    Word(String),
    /// A name in double quotes.
    Quoted,
    Number,
    Text,
    Assign,
    /// One of `=`, `+`, `-`, `.`, `(`, `)`, `;`.
    Sign(char),
}

/// Returns the tokens of a body; `None` for any character sequence outside the grammar.
fn tokens(source: &str) -> Option<Vec<Token>> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            ' ' | '\t' | '\r' | '\n' => {
                rest = &rest[1..];
                continue;
            }
            '-' if rest.starts_with("--") => {
                rest = rest.split_once('\n').map_or("", |(_, after)| after);
                continue;
            }
            '/' => {
                rest = block_comment(rest)?;
                continue;
            }
            'a'..='z' | 'A'..='Z' | '_' => word(rest)?,
            '0'..='9' => number(rest)?,
            '\'' => text(rest)?,
            '"' => quoted(rest)?,
            ':' => (Token::Assign, rest.strip_prefix(":=")?),
            '=' | '+' | '-' | '.' | '(' | ')' | ';' => (Token::Sign(first), &rest[1..]),
            _ => return None,
        };
        if matches!(token, Token::Assign | Token::Sign('=' | '+' | '-')) && begins_operator(after) {
            return None;
        }
        found.push(token);
        rest = after;
    }
    Some(found)
}

/// Whether the next character would belong to the same operator; the server joins adjacent operator
/// characters.
fn begins_operator(rest: &str) -> bool {
    rest.starts_with(|c: char| "+-*/<>=~!@#%^&|`?:".contains(c))
}

/// Skips a `/* */` comment, which must not contain another one.
fn block_comment(rest: &str) -> Option<&str> {
    let (inside, after) = rest.strip_prefix("/*")?.split_once("*/")?;
    (!inside.contains("/*")).then_some(after)
}

fn word(rest: &str) -> Option<(Token, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    // `E'...'`, `U&"..."`, dollar quotes and non-ASCII letters have another meaning.
    if after.starts_with(|c: char| c == '\'' || c == '"' || c == '&' || c == '$' || !c.is_ascii()) {
        return None;
    }
    Some((Token::Word(word.to_ascii_lowercase()), after))
}

fn number(rest: &str) -> Option<(Token, &str)> {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let mut end = digits(rest);
    if rest[end..].starts_with('.') {
        let fraction = digits(&rest[end + 1..]);
        if fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    let after = &rest[end..];
    let is_more =
        after.starts_with(|c: char| c.is_ascii_alphanumeric() || "._$'\"".contains(c) || !c.is_ascii());
    (!is_more).then_some((Token::Number, after))
}

/// Reads a single-quoted string without escapes.
fn text(rest: &str) -> Option<(Token, &str)> {
    let (inside, after) = rest.strip_prefix('\'')?.split_once('\'')?;
    let is_plain = !inside.contains('\\') && !after.starts_with('\'');
    is_plain.then_some((Token::Text, after))
}

fn quoted(rest: &str) -> Option<(Token, &str)> {
    let (inside, after) = rest.strip_prefix('"')?.split_once('"')?;
    (!inside.is_empty() && !after.starts_with('"')).then_some((Token::Quoted, after))
}

struct Parser<'a> {
    rest: &'a [Token],
}

impl Parser<'_> {
    fn body(&mut self) -> Option<()> {
        self.expect_word("begin")?;
        while self.is_word("new") {
            self.assignment()?;
        }
        self.expect_word("return")?;
        self.expect_word("new")?;
        self.expect_sign(';')?;
        self.expect_word("end")?;
        if !self.rest.is_empty() {
            self.expect_sign(';')?;
        }
        Some(())
    }

    fn assignment(&mut self) -> Option<()> {
        self.expect_word("new")?;
        self.column()?;
        match self.next()? {
            Token::Assign | Token::Sign('=') => {}
            _ => return None,
        }
        self.sum(0)?;
        self.expect_sign(';')
    }

    fn column(&mut self) -> Option<()> {
        self.expect_sign('.')?;
        matches!(self.next()?, Token::Word(_) | Token::Quoted).then_some(())
    }

    fn sum(&mut self, depth: u32) -> Option<()> {
        self.term(depth)?;
        while matches!(self.rest.first(), Some(Token::Sign('+' | '-'))) {
            self.next()?;
            self.term(depth)?;
        }
        Some(())
    }

    fn term(&mut self, depth: u32) -> Option<()> {
        match self.next()? {
            Token::Number | Token::Text => Some(()),
            Token::Sign('-') => (*self.next()? == Token::Number).then_some(()),
            Token::Sign('(') if depth < DEPTH_MAX => {
                self.sum(depth + 1)?;
                self.expect_sign(')')
            }
            Token::Word(word) => match word.as_str() {
                "true" | "false" | "null" | "current_timestamp" => Some(()),
                "new" | "old" => self.column(),
                "pg_catalog" => {
                    self.expect_sign('.')?;
                    self.clock()
                }
                clock if CLOCKS.contains(&clock) => self.parentheses(),
                _ => None,
            },
            _ => None,
        }
    }

    fn clock(&mut self) -> Option<()> {
        match self.next()? {
            Token::Word(word) if CLOCKS.contains(&word.as_str()) => self.parentheses(),
            _ => None,
        }
    }

    fn parentheses(&mut self) -> Option<()> {
        self.expect_sign('(')?;
        self.expect_sign(')')
    }

    fn next(&mut self) -> Option<&Token> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn is_word(&self, wanted: &str) -> bool {
        matches!(self.rest.first(), Some(Token::Word(word)) if word == wanted)
    }

    fn expect_word(&mut self, wanted: &str) -> Option<()> {
        matches!(self.next()?, Token::Word(word) if word == wanted).then_some(())
    }

    fn expect_sign(&mut self, wanted: char) -> Option<()> {
        (*self.next()? == Token::Sign(wanted)).then_some(())
    }
}

#[cfg(test)]
mod tests;
