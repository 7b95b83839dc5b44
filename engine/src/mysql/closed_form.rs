//! The one closed form of a trigger that needs no acknowledgement: BEFORE UPDATE, setting columns of the
//! stored row from constants, the row itself, `+`, `-` and the current time. Everything not listed here is
//! rejected: an unknown name could be a user-defined function.

/// A trigger as the catalog describes it.
#[derive(Debug)]
pub struct Trigger<'a> {
    /// `BEFORE` or `AFTER`.
    pub timing: &'a str,
    /// `INSERT`, `UPDATE`, `DELETE`, or several of them.
    pub event: &'a str,
    pub body: &'a str,
    /// The SQL mode under which the server parses the body, independent of the session's mode.
    pub sql_mode: &'a str,
    /// The character set in which the body was written.
    pub charset: &'a str,
}

/// Words of a saved mode that do not change the grammar of the closed form. Some clients set PIPES_AS_CONCAT
/// and IGNORE_SPACE by themselves. They affect only an operator that the form lacks, and a blank between a
/// name and its bracket, which no function of the form may have.
const MODES: [&str; 18] = [
    "STRICT_TRANS_TABLES",
    "STRICT_ALL_TABLES",
    "NO_ZERO_IN_DATE",
    "NO_ZERO_DATE",
    "ERROR_FOR_DIVISION_BY_ZERO",
    "IGNORE_SPACE",
    "NO_AUTO_CREATE_USER",
    "NO_ENGINE_SUBSTITUTION",
    "NO_AUTO_VALUE_ON_ZERO",
    "NO_BACKSLASH_ESCAPES",
    "NO_UNSIGNED_SUBTRACTION",
    "ONLY_FULL_GROUP_BY",
    "ALLOW_INVALID_DATES",
    "PAD_CHAR_TO_FULL_LENGTH",
    "PIPES_AS_CONCAT",
    "TIME_TRUNCATE_FRACTIONAL",
    "TIME_ROUND_FRACTIONAL",
    "TRADITIONAL",
];
/// Character sets in which every byte below 128 is the ASCII character of that value.
const CHARSETS: [&str; 5] = ["utf8mb4", "utf8mb3", "utf8", "latin1", "ascii"];
/// Maximum nesting depth of brackets and branches.
const DEPTH_MAX: usize = 16;

/// Whether a trigger runs for an UPDATE.
pub fn is_updating(event: &str) -> bool {
    event.to_ascii_uppercase().contains("UPDATE")
}

/// Whether a trigger has the closed form.
pub fn is_closed(trigger: &Trigger<'_>) -> bool {
    trigger.timing == "BEFORE"
        && is_updating(trigger.event)
        && trigger
            .sql_mode
            .split(',')
            .all(|mode| mode.is_empty() || MODES.contains(&mode))
        && CHARSETS.contains(&trigger.charset)
        && tokens(trigger.body).is_some_and(|tokens| Parser::accepts(&tokens))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A word as written, with whether an opening bracket follows it directly.
    Word(&'a str, bool),
    /// A name in backticks.
    Name,
    Number,
    Text,
    Sign(&'a str),
}

/// Returns the tokens of a body; `None` if a character or a quotation is outside the form.
fn tokens(body: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut rest = body;
    while let Some(letter) = rest.chars().next() {
        let (token, len) = match letter {
            ' ' | '\t' | '\r' | '\n' => {
                rest = &rest[1..];
                continue;
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let len = span(rest, |c| c.is_ascii_alphanumeric() || c == '_');
                // A dollar sign or a non-ASCII letter would make it another word.
                let next = rest[len..].chars().next();
                if next.is_some_and(|c| c == '$' || !c.is_ascii()) {
                    return None;
                }
                (Token::Word(&rest[..len], next == Some('(')), len)
            }
            '0'..='9' => (Token::Number, number(rest)?),
            '\'' => (Token::Text, quoted(rest, '\'')?),
            '`' => (Token::Name, quoted(rest, '`')?),
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign))?;
                // Two dashes can begin a comment.
                if rest.starts_with("--") {
                    return None;
                }
                (Token::Sign(sign), sign.len())
            }
        };
        tokens.push(token);
        rest = &rest[len..];
    }
    Some(tokens)
}

/// Longer operators first.
const SIGNS: [&str; 16] = [
    "<=>", "<=", ">=", "<>", "!=", ":=", "=", "<", ">", "+", "-", "(", ")", ",", ";", ".",
];

fn span(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_part(c)).unwrap_or(text.len())
}

/// The length of a number without an exponent.
fn number(text: &str) -> Option<usize> {
    let mut len = span(text, |c| c.is_ascii_digit());
    if let Some(fraction) = text[len..].strip_prefix('.') {
        let digits = span(fraction, |c| c.is_ascii_digit());
        if digits == 0 {
            return None;
        }
        len += 1 + digits;
    }
    // `1e5`, `0x1f` and `1abc` are other tokens.
    let next = text[len..].chars().next();
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.') || !c.is_ascii();
    (!next.is_some_and(is_word)).then_some(len)
}

/// Returns the length of a quotation of printable ASCII without the quote and without backslashes inside. A
/// quotation that follows directly would continue it.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let inner = &text[1..];
    let len = inner.find(quote)?;
    let is_plain = |b: u8| (b' '..=b'~').contains(&b) && b != b'\\';
    let is_fine = inner[..len].bytes().all(is_plain) && !inner[len + 1..].starts_with(quote);
    is_fine.then_some(len + 2)
}

/// Parses the grammar; every method returns `None` where the body leaves it.
struct Parser<'t, 'a> {
    tokens: &'t [Token<'a>],
    depth: usize,
}

impl<'a> Parser<'_, 'a> {
    fn accepts(tokens: &[Token<'a>]) -> bool {
        let mut parser = Parser { tokens, depth: 0 };
        parser.body().is_some() && parser.tokens.is_empty()
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(*first)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.tokens.first(), Some(Token::Word(found, _)) if found.eq_ignore_ascii_case(word))
    }

    fn is_sign(&self, signs: &[&str]) -> bool {
        matches!(self.tokens.first(), Some(Token::Sign(found)) if signs.contains(found))
    }

    /// Consumes the word if it is next.
    fn takes_word(&mut self, word: &str) -> bool {
        let is_next = self.is_word(word);
        if is_next {
            self.tokens = &self.tokens[1..];
        }
        is_next
    }

    fn takes_sign(&mut self, signs: &[&str]) -> bool {
        let is_next = self.is_sign(signs);
        if is_next {
            self.tokens = &self.tokens[1..];
        }
        is_next
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.takes_word(word).then_some(())
    }

    fn sign(&mut self, sign: &str) -> Option<()> {
        self.takes_sign(&[sign]).then_some(())
    }

    /// Parses one statement, or several between BEGIN and END.
    fn body(&mut self) -> Option<()> {
        if !self.takes_word("BEGIN") {
            self.statement()?;
            self.takes_sign(&[";"]);
            return Some(());
        }
        self.statements(&["END"])?;
        self.word("END")?;
        self.takes_sign(&[";"]);
        Some(())
    }

    /// Parses at least one statement, each with its semicolon, up to one of the words.
    fn statements(&mut self, ends: &[&str]) -> Option<()> {
        loop {
            self.statement()?;
            self.sign(";")?;
            if ends.iter().any(|end| self.is_word(end)) {
                return Some(());
            }
        }
    }

    fn statement(&mut self) -> Option<()> {
        if self.takes_word("IF") {
            self.branches()
        } else {
            self.assignments()
        }
    }

    fn branches(&mut self) -> Option<()> {
        self.deeper()?;
        loop {
            self.condition()?;
            self.word("THEN")?;
            self.statements(&["ELSEIF", "ELSE", "END"])?;
            if !self.takes_word("ELSEIF") {
                break;
            }
        }
        if self.takes_word("ELSE") {
            self.statements(&["END"])?;
        }
        self.word("END")?;
        self.word("IF")?;
        self.depth -= 1;
        Some(())
    }

    fn assignments(&mut self) -> Option<()> {
        self.word("SET")?;
        loop {
            self.word("NEW")?;
            self.column()?;
            self.takes_sign(&["=", ":="]).then_some(())?;
            self.expression()?;
            if !self.takes_sign(&[","]) {
                return Some(());
            }
        }
    }

    /// Parses a point and a column name.
    fn column(&mut self) -> Option<()> {
        self.sign(".")?;
        match self.next()? {
            Token::Word(_, false) | Token::Name => Some(()),
            _ => None,
        }
    }

    fn expression(&mut self) -> Option<()> {
        loop {
            self.term()?;
            if !self.takes_sign(&["+", "-"]) {
                return Some(());
            }
        }
    }

    fn term(&mut self) -> Option<()> {
        if self.takes_sign(&["("]) {
            self.deeper()?;
            self.expression()?;
            self.depth -= 1;
            return self.sign(")");
        }
        if self.takes_sign(&["-"]) {
            return matches!(self.next()?, Token::Number).then_some(());
        }
        match self.next()? {
            Token::Number | Token::Text => Some(()),
            Token::Word(word, is_call) => self.named(&word.to_ascii_uppercase(), is_call),
            Token::Name | Token::Sign(_) => None,
        }
    }

    /// Parses a term that begins with a word. All of these words are reserved except NOW, which is the
    /// server's function only if the bracket follows directly.
    fn named(&mut self, word: &str, is_call: bool) -> Option<()> {
        match word {
            "NEW" | "OLD" => self.column(),
            "NULL" | "TRUE" | "FALSE" => Some(()),
            "CURRENT_TIMESTAMP" if !self.is_sign(&["("]) => Some(()),
            "CURRENT_TIMESTAMP" => self.digits(),
            "NOW" if is_call => self.digits(),
            "IF" if is_call => {
                self.deeper()?;
                self.sign("(")?;
                self.condition()?;
                self.sign(",")?;
                self.expression()?;
                self.sign(",")?;
                self.expression()?;
                self.depth -= 1;
                self.sign(")")
            }
            _ => None,
        }
    }

    /// Parses empty brackets, or brackets around the number of fractional digits.
    fn digits(&mut self) -> Option<()> {
        self.sign("(")?;
        if matches!(self.tokens.first(), Some(Token::Number)) {
            self.next()?;
        }
        self.sign(")")
    }

    fn condition(&mut self) -> Option<()> {
        loop {
            self.takes_word("NOT");
            self.comparison()?;
            if !(self.takes_word("AND") || self.takes_word("OR")) {
                return Some(());
            }
        }
    }

    fn comparison(&mut self) -> Option<()> {
        let before = (self.tokens, self.depth);
        // A bracket begins a condition or an expression.
        if self.takes_sign(&["("]) {
            self.deeper()?;
            if self.condition().is_some() && self.takes_sign(&[")"]) {
                self.depth = before.1;
                return Some(());
            }
            (self.tokens, self.depth) = before;
        }
        self.expression()?;
        if self.takes_word("IS") {
            self.takes_word("NOT");
            return self.word("NULL");
        }
        self.takes_sign(&["=", "<=>", "<>", "!=", "<", ">", "<=", ">="])
            .then_some(())?;
        self.expression()
    }

    fn deeper(&mut self) -> Option<()> {
        self.depth += 1;
        (self.depth <= DEPTH_MAX).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HARMLESS: [&str; 12] = [
        "SET NEW.version = OLD.version + 1",
        "SET NEW.`updated at` = CURRENT_TIMESTAMP(6)",
        "SET NEW.updated_at = CURRENT_TIMESTAMP",
        "SET NEW.updated_at = CURRENT_TIMESTAMP ()",
        "set new.a = now(), new.b := 5 + -1",
        "BEGIN SET NEW.a = 1; SET NEW.b = 'it is'; END",
        "BEGIN\n  IF NEW.version = OLD.version THEN\n    SET NEW.version = OLD.version + 1;\n  END IF;\nEND",
        "SET NEW.version = IF(NEW.version = OLD.version, OLD.version + 1, NEW.version)",
        "BEGIN IF (NEW.a <=> OLD.a) AND NOT (NEW.b IS NOT NULL OR ((NEW.c) > 1.5)) THEN SET NEW.a = NULL; \
         ELSEIF NEW.a < 1 THEN SET NEW.b = ''; ELSE SET NEW.c = TRUE; END IF; END;",
        "SET NEW.order = (OLD.order - 1) + 0",
        "SET NEW.a = OLD.a;",
        "SET NEW.name = OLD.name",
    ];
    const OTHERS: [&str; 39] = [
        "INSERT INTO journal VALUES (NEW.id)",
        "BEGIN SET NEW.a = 1; INSERT INTO journal VALUES (NEW.id); END",
        "SET NEW.a = (SELECT max(a) FROM t)",
        "SET @x = 1",
        "SET NEW.a = 1, @x = 1",
        "SET NEW.a = 1, sql_mode = ''",
        "SET NEW.a = @@sql_mode",
        "SET NEW.a = audit(NEW.id)",
        "SET NEW.a = app.audit(NEW.id)",
        "SET NEW.a = `audit`(NEW.id)",
        "SET NEW.a = \"tidy\"(OLD.a)",
        "SET NEW.a = \"text\"",
        "SET NEW.a = TRIM (OLD.a)",
        "SET NEW.a = TRIM(OLD.a)",
        "SET NEW.a = NOW (6)",
        "SET NEW.a = IF (1 = 1, 2, 3)",
        "SET NEW.a = SYSDATE()",
        "SET NEW.a = CURDATE()",
        "CALL audit()",
        "SET NEW.a = SLEEP(5)",
        "SET NEW.a = 1 /* */",
        "SET NEW.a = 1 -- x",
        "SET NEW.a = 1 --1",
        "SET NEW.a = 1 # x",
        "SET GLOBAL x = 1",
        "SET NEW.a = 'x\\' , audit('",
        "SET NEW.a = 'open",
        "SET NEW.a = 'a' 'b'",
        "SET NEW.a.b = 1",
        "SET NEW.a = _latin1'x'",
        "SET NEW.a = x'41'",
        "SET NEW.a = 1e5",
        "SET NEW.a = OLD.a | 1",
        "SET NEW.a = OLD.a || 'x'",
        "SET \u{e9} = 1",
        "SET NEW.a = '\u{e9}'",
        "SET NEW.a = OLD.a$",
        "BEGIN DECLARE new INT; SET NEW.a = 1; END",
        "BEGIN END",
    ];

    fn trigger(body: &str) -> Trigger<'_> {
        Trigger {
            timing: "BEFORE",
            event: "UPDATE",
            body,
            sql_mode: "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
            charset: "utf8mb4",
        }
    }

    #[test]
    fn body_is_closed_form_only_if_it_sets_its_own_row() {
        for body in HARMLESS {
            assert!(is_closed(&trigger(body)), "{body}");
        }
        for body in OTHERS {
            assert!(!is_closed(&trigger(body)), "{body}");
        }
    }

    #[test]
    fn closed_form_depends_on_mode_charset_timing_and_event() {
        let body = HARMLESS[0];
        for mode in [
            "ANSI_QUOTES",
            "HIGH_NOT_PRECEDENCE",
            "ORACLE",
            "STRICT_ALL_TABLES,EMPTY_STRING_IS_NULL",
            "SOMETHING_NEW",
        ] {
            let sql_mode = mode;
            assert!(
                !is_closed(&Trigger {
                    sql_mode,
                    ..trigger(body)
                }),
                "{mode}"
            );
        }
        for charset in ["sjis", "gbk", "big5", "utf16", ""] {
            assert!(
                !is_closed(&Trigger {
                    charset,
                    ..trigger(body)
                }),
                "{charset}"
            );
        }
        assert!(is_closed(&Trigger {
            sql_mode: "",
            ..trigger(body)
        }));
        assert!(is_closed(&Trigger {
            event: "INSERT,UPDATE",
            ..trigger(body)
        }));
        for (timing, event) in [
            ("AFTER", "UPDATE"),
            ("BEFORE", "INSERT"),
            ("INSTEAD OF", "UPDATE"),
        ] {
            assert!(
                !is_closed(&Trigger {
                    timing,
                    event,
                    ..trigger(body)
                }),
                "{timing} {event}"
            );
        }
    }

    #[test]
    fn deep_nesting_is_rejected_without_overflow() {
        let deep = format!("SET NEW.a = {}1{}", "(".repeat(500), ")".repeat(500));
        assert!(!is_closed(&trigger(&deep)));
        let deep = format!(
            "BEGIN IF {}1{} = 1 THEN SET NEW.a = 1; END IF; END",
            "(".repeat(15),
            ")".repeat(15)
        );
        assert!(is_closed(&trigger(&deep)));
    }
}
