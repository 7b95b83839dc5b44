//! Which triggers can be told by reading the row again: those that set columns of the row itself and nothing else.
//! Of all others neither server says what they did.

/// Words that a harmless body may use besides columns of the row. Names of functions are those of the server; a
/// function of the application cannot hide behind them, since a bare call always means the server's own.
const WORDS: &[&str] = &[
    "ABS",
    "AND",
    "BEGIN",
    "BETWEEN",
    "CASE",
    "COALESCE",
    "CONCAT",
    "CURDATE",
    "CURRENT_DATE",
    "CURRENT_TIMESTAMP",
    "DIV",
    "ELSE",
    "ELSEIF",
    "END",
    "FALSE",
    "FLOOR",
    "GREATEST",
    "IF",
    "IFNULL",
    "IN",
    "IS",
    "LEAST",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "LOWER",
    "LTRIM",
    "MOD",
    "NOT",
    "NOW",
    "NULL",
    "NULLIF",
    "OR",
    "ROUND",
    "RTRIM",
    "SET",
    "SYSDATE",
    "THEN",
    "TRIM",
    "TRUE",
    "UPPER",
    "UTC_DATE",
    "UTC_TIMESTAMP",
    "WHEN",
    "XOR",
];

/// Whether a body only sets columns of the row before it is stored; rather once too seldom.
pub fn only_sets_its_row(body: &str) -> bool {
    let mut rest = body.trim_start();
    // Whether the word before was `NEW` or `OLD`, and whether a point came after it.
    let (mut is_row, mut is_column) = (false, false);
    while let Some(letter) = rest.chars().next() {
        let (token, after) = match letter {
            '\'' | '"' => match quoted(rest, letter) {
                // A backslash means different things in different modes.
                Some((text, after)) if !text.contains('\\') => ("'", after),
                Some(_) | None => return false,
            },
            '`' => match quoted(rest, letter) {
                Some((text, after)) if is_column && !text.contains(['`', '\\']) => ("column", after),
                Some(_) | None => return false,
            },
            letter if letter.is_ascii_alphanumeric() || letter == '_' => {
                let end = rest
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$'))
                    .unwrap_or(rest.len());
                rest.split_at(end)
            }
            '.' | ',' | ';' | '(' | ')' | '=' | '<' | '>' | '+' | '*' | '%' | '!' => rest.split_at(1),
            // Neither comments nor variables.
            '-' if !rest.starts_with("--") => rest.split_at(1),
            '/' if !rest.starts_with("/*") => rest.split_at(1),
            ':' if rest.starts_with(":=") => rest.split_at(2),
            _ => return false,
        };
        let upper = token.to_ascii_uppercase();
        let is_word = token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if is_column {
            if !is_word {
                return false;
            }
            (is_row, is_column) = (false, false);
        } else if token == "." {
            // A point that follows no row belongs to a name of another object, unless it is in a number.
            if !is_row {
                return false;
            }
            is_column = true;
        } else {
            is_row = matches!(upper.as_str(), "NEW" | "OLD");
            if is_word && !is_row && !WORDS.contains(&upper.as_str()) {
                return false;
            }
            if !is_word && token.len() > 1 && token != ":=" && !token.bytes().all(|b| b.is_ascii_digit()) {
                return false;
            }
        }
        rest = after.trim_start();
    }
    true
}

/// A quoted text and what comes after it; doubled quotes stay inside.
fn quoted(text: &str, quote: char) -> Option<(&str, &str)> {
    let inner = &text[1..];
    let mut from = 0;
    loop {
        let end = from + inner[from..].find(quote)?;
        if inner[end + 1..].starts_with(quote) {
            from = end + 2;
        } else {
            return Some((&inner[..end], &inner[end + 1..]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_only_set_the_row_are_told_from_others() {
        for harmless in [
            "SET NEW.version = OLD.version + 1",
            "SET NEW.`updated_at` = CURRENT_TIMESTAMP(6)",
            "BEGIN IF NEW.version = OLD.version THEN SET NEW.version = OLD.version + 1; END IF; END",
            "SET NEW.status = CASE WHEN NEW.fee < 0 THEN 'bad' ELSE COALESCE(NEW.status, 'it''s') END",
            "set new.a = now(), new.b = 5 * -1",
        ] {
            assert!(only_sets_its_row(harmless), "{harmless}");
        }
        for other in [
            "INSERT INTO journal VALUES (NEW.id)",
            "BEGIN SET NEW.a = 1; INSERT INTO journal VALUES (NEW.id); END",
            "SET NEW.a = (SELECT max(a) FROM t)",
            "SET @x = 1",
            "SET NEW.a = audit(NEW.id)",
            "SET NEW.a = app.audit(NEW.id)",
            "SET NEW.a = `audit`(NEW.id)",
            "CALL audit()",
            "SET NEW.a = SLEEP(5)",
            "SET NEW.a = 1 /* */",
            "SET NEW.a = 1 -- x",
            "SET NEW.a = 1 # x",
            "SET GLOBAL x = 1",
            "SET NEW.a = 'x\\' , audit('",
            "SET NEW.a = 'open",
            "SET NEW.a.b = 1",
            "SET é = 1",
        ] {
            assert!(!only_sets_its_row(other), "{other}");
        }
    }
}
