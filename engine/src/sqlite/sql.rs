//! Tokens of a stored definition. SQLite stores the text of every `CREATE` statement and parses it on each
//! connection, so the text is the definition. Its tokens are compared, without blanks, comments and case.

/// One token. Words and quoted names are in lower case, as SQLite compares them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword or a name without quotes.
    Word(String),
    /// A name in double quotes, backticks or brackets.
    Name(String),
    /// A string in single quotes.
    Text(String),
    Number(String),
    Symbol(char),
}

impl Token {
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(text) if text == word)
    }

    pub(super) const fn is_symbol(&self, symbol: char) -> bool {
        matches!(self, Self::Symbol(c) if *c == symbol)
    }

    /// Returns the name that the token spells, quoted or not.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Word(text) | Self::Name(text) => Some(text),
            Self::Text(_) | Self::Number(_) | Self::Symbol(_) => None,
        }
    }
}

/// Returns the tokens of a statement; `None` for an unterminated quote, bracket or blob, or if it contains
/// NUL.
pub(super) fn tokens(sql: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        rest = match first {
            // SQLite treats a byte order mark before a token as a blank.
            c if c.is_ascii_whitespace() || c == '\u{feff}' => after,
            // SQLite ends the statement here; the rest does not run.
            '\0' => return None,
            '-' if after.starts_with('-') => after.find('\n').map_or("", |end| &after[end..]),
            '/' if after.starts_with('*') => after[1..].find("*/").map_or("", |end| &after[end + 3..]),
            '\'' => {
                let (text, rest) = quoted(after, '\'')?;
                tokens.push(Token::Text(text));
                rest
            }
            '"' | '`' => {
                let (name, rest) = quoted(after, first)?;
                tokens.push(Token::Name(name.to_ascii_lowercase()));
                rest
            }
            '[' => {
                let (name, rest) = after.split_once(']')?;
                tokens.push(Token::Name(name.to_ascii_lowercase()));
                rest
            }
            'x' | 'X' if after.starts_with('\'') => {
                let (digits, rest) = quoted(&after[1..], '\'')?;
                tokens.push(Token::Number(format!("x'{digits}'")));
                rest
            }
            c if c.is_ascii_digit() => {
                let (number, rest) = split(rest, |c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
                tokens.push(Token::Number(number.to_ascii_lowercase()));
                rest
            }
            c if is_word_start(c) => {
                let (word, rest) = split(rest, |c| is_word_start(c) || c.is_ascii_digit() || c == '$');
                tokens.push(Token::Word(word.to_ascii_lowercase()));
                rest
            }
            symbol => {
                tokens.push(Token::Symbol(symbol));
                after
            }
        };
    }
    Some(tokens)
}

const fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// Returns the text up to the closing quote, where a doubled quote is one, and the rest.
fn quoted(after: &str, quote: char) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut rest = after;
    loop {
        let (part, more) = rest.split_once(quote)?;
        text.push_str(part);
        match more.strip_prefix(quote) {
            Some(more) => {
                text.push(quote);
                rest = more;
            }
            None => return Some((text, more)),
        }
    }
}

/// Keywords that can precede `(` or an operand, and are not functions.
const KEYWORDS: [&str; 61] = [
    "abort",
    "all",
    "and",
    "as",
    "begin",
    "between",
    "by",
    "case",
    "cast",
    "check",
    "collate",
    "conflict",
    "default",
    "distinct",
    "do",
    "else",
    "end",
    "escape",
    "except",
    "exists",
    "filter",
    "foreign",
    "from",
    "glob",
    "group",
    "having",
    "in",
    "intersect",
    "is",
    "isnull",
    "join",
    "key",
    "like",
    "limit",
    "match",
    "materialized",
    "not",
    "nothing",
    "notnull",
    "offset",
    "on",
    "or",
    "over",
    "raise",
    "references",
    "regexp",
    "returning",
    "row",
    "rows",
    "select",
    "set",
    "then",
    "union",
    "unique",
    "update",
    "using",
    "values",
    "when",
    "where",
    "window",
    "without",
];

/// Operators that call a function of the same name, which SQLite itself does not define.
const OPERATOR_FUNCTIONS: [&str; 2] = ["match", "regexp"];

/// Returns the functions that the tokens of expressions and statements call; sorted, each once. Names after
/// `INTO` and the like have a list of columns, types after `AS` a length.
pub(super) fn functions(tokens: &[Token]) -> Vec<String> {
    let before = |at: usize| at.checked_sub(1).map(|before| &tokens[before]);
    let called = |at: usize, name: &str| {
        let is_list = before(at)
            .and_then(Token::name)
            .is_some_and(|word| matches!(word, "into" | "as" | "with" | "references" | "on"));
        let is_call = tokens.get(at + 1).is_some_and(|next| next.is_symbol('('));
        (is_call && !is_list && !KEYWORDS.contains(&name)) || is_operator(tokens, at)
    };
    let mut found: Vec<String> = tokens
        .iter()
        .enumerate()
        .filter_map(|(at, token)| Some((at, token.name()?)))
        .filter(|(at, name)| called(*at, name))
        .map(|(_, name)| name.to_owned())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Whether the word is used as an operator: an operand precedes it, perhaps with NOT. A column can have the
/// same name.
fn is_operator(tokens: &[Token], at: usize) -> bool {
    if !OPERATOR_FUNCTIONS.iter().any(|word| tokens[at].is_word(word)) {
        return false;
    }
    let mut before = tokens[..at].iter().rev();
    let operand = before.next().and_then(|token| {
        if token.is_word("not") {
            before.next()
        } else {
            Some(token)
        }
    });
    match operand {
        Some(Token::Word(word)) => !KEYWORDS.contains(&word.as_str()),
        Some(Token::Symbol(symbol)) => *symbol == ')',
        Some(Token::Name(_) | Token::Text(_) | Token::Number(_)) => true,
        None => false,
    }
}

/// Returns the tokens inside each bracket that follows one of the words.
pub(super) fn brackets_after<'a>(tokens: &'a [Token], words: &[&str]) -> Vec<&'a [Token]> {
    let starts = tokens
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[1].is_symbol('(') && words.iter().any(|word| pair[0].is_word(word)))
        .map(|(at, _)| &tokens[at + 2..]);
    starts
        .map(|inside| {
            let mut depth = 1_u32;
            let end = inside.iter().position(|token| {
                match token {
                    Token::Symbol('(') => depth += 1,
                    Token::Symbol(')') => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            &inside[..end.unwrap_or(inside.len())]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(sql: &str) -> Vec<Token> {
        tokens(sql).unwrap()
    }

    #[test]
    fn blanks_comments_and_case_are_ignored() {
        let plain = words("CREATE TABLE t (a TEXT NOT NULL)");
        for same in [
            "create\n table  t(A text not/* why */null)",
            "Create Table T -- ( x\n ( a TEXT NOT NULL )",
        ] {
            assert_eq!(words(same), plain, "{same}");
        }
    }

    #[test]
    fn quotes_decide_the_kind_of_token() {
        assert_eq!(
            words("'it''s' \"A\"\"b\" `c` [d] x'00' 1.5e3"),
            [
                Token::Text("it's".to_owned()),
                Token::Name("a\"b".to_owned()),
                Token::Name("c".to_owned()),
                Token::Name("d".to_owned()),
                Token::Number("x'00'".to_owned()),
                Token::Number("1.5e3".to_owned()),
            ]
        );
        for open in ["'a", "\"a", "[a", "x'0"] {
            assert_eq!(tokens(open), None, "{open}");
        }
        assert!(words("a /* open").len() == 1 && words("a -- 'open").len() == 1);
    }

    #[test]
    fn names_before_brackets_are_functions() {
        let called = |sql: &str| functions(&words(sql));
        assert_eq!(
            called("SELECT lower (a), \"f\"(b) WHERE x IN (1) AND NOT (y)"),
            ["f", "lower"]
        );
        assert_eq!(
            called("INSERT INTO log (a) VALUES (datetime('now'))"),
            ["datetime"]
        );
        assert_eq!(called("CAST(abs(a) AS VARCHAR(3))"), ["abs"]);
        for plain in [
            "WHERE (status <> 'x' AND fee > 0)",
            "SELECT 1 UNION SELECT (2) LIMIT (1) OFFSET (2)",
            "a GLOB ('x*') OR b IN (1)",
            "(match > 0 AND NOT match)",
        ] {
            assert_eq!(called(plain), Vec::<String>::new(), "{plain}");
        }
    }

    #[test]
    fn operators_without_definition_are_functions() {
        for sql in [
            "name REGEXP 'a'",
            "name NOT MATCH 'a'",
            "lower(name) regexp ('a')",
            "\"n\" MATCH x",
        ] {
            let found = functions(&words(sql));
            assert!(
                found.iter().any(|name| name == "regexp" || name == "match"),
                "{sql}: {found:?}"
            );
        }
    }

    #[test]
    fn byte_order_mark_separates_tokens() {
        assert_eq!(words("AFTER \u{feff}UPDATE"), words("AFTER UPDATE"));
        assert_eq!(words("a\u{feff}b"), [Token::Word("a\u{feff}b".to_owned())]);
        assert_eq!(tokens("SELECT 1\0 FROM t"), None);
    }
}
