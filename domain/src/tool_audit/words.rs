//! Splits names and descriptions into lower-case words.

/// Words before another one that negate it, such as in "never runs SQL".
const NEGATIONS: [&str; 8] = ["no", "not", "never", "cannot", "without", "nor", "neither", "t"];
/// Number of words before a word in which a negation counts.
const NEGATION_REACH: usize = 5;

/// End of a part of a sentence among the words of a text.
const BREAK: &str = ".";

/// Returns the words of a text: letters and digits, separated by anything else and by capitals within a name. Marks that
/// end a part of a sentence become [`BREAK`].
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut is_after_lower = false;
    for c in text.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && is_after_lower) {
            take(&mut word, &mut words);
        }
        if matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '(' | ')' | '\n') {
            words.push(BREAK.to_owned());
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        is_after_lower = c.is_lowercase();
    }
    take(&mut word, &mut words);
    words
}

fn take(word: &mut String, words: &mut Vec<String>) {
    if !word.is_empty() {
        words.push(std::mem::take(word));
    }
}

/// Returns a name without case and punctuation.
pub(super) fn normalized(name: &str) -> String {
    words(name).concat().replace(BREAK, "")
}

/// Whether the word is one of `verbs`, also in the third person.
pub(super) fn is_verb(word: &str, verbs: &[&str]) -> bool {
    let stem = |end: &str| word.strip_suffix(end).is_some_and(|stem| verbs.contains(&stem));
    verbs.contains(&word) || stem("s") || stem("es")
}

/// Returns the first of `verbs` that the words contain and that no negation precedes.
pub(super) fn affirmed<'a>(words: &'a [String], verbs: &[&str]) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(at, word)| {
        let is_found = is_verb(word, verbs) && !is_negated(words, at);
        is_found.then_some(word.as_str())
    })
}

/// Returns the first of `verbs` that a description uses for what the tool does: at the start of a part of a sentence,
/// after adverbs, or after a word such as "to". Other places are often nouns, as in "Shows the last refund".
pub(super) fn acting<'a>(words: &'a [String], verbs: &[&str]) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(at, word)| {
        let before = words[..at].iter().rev().find(|word| !word.ends_with("ly"));
        let acts = before.is_none_or(|before| before == BREAK || ACTING_AFTER.contains(&before.as_str()));
        (acts && is_verb(word, verbs) && !is_negated(words, at)).then_some(word.as_str())
    })
}

/// Words before a verb that is no noun.
const ACTING_AFTER: [&str; 7] = ["to", "can", "will", "may", "then", "also", "must"];

/// Whether a negation precedes the word at `at`.
pub(super) fn is_negated(words: &[String], at: usize) -> bool {
    let before = words[..at].iter().rev().take(NEGATION_REACH);
    let mut of_part = before.take_while(|word| *word != BREAK);
    of_part.any(|word| NEGATIONS.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_punctuation_and_capitals() {
        for (name, expected) in [
            ("execute_sql", "execute sql"),
            ("executeSQL", "execute sql"),
            ("billing.inspectInvoice2", "billing . inspect invoice2"),
            ("", ""),
        ] {
            assert_eq!(words(name).join(" "), expected);
        }
        assert_eq!(normalized("Run-Query"), "runquery");
    }

    #[test]
    fn negated_verb_does_not_count() {
        let verbs = ["update", "approve"];
        assert_eq!(affirmed(&words("Updates one row."), &verbs), Some("updates"));
        assert_eq!(affirmed(&words("It does not update the row."), &verbs), None);
        assert_eq!(affirmed(&words("Models cannot approve it."), &verbs), None);
    }
}
