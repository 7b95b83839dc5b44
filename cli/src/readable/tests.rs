//! Texts in many scripts, mixed and hidden characters, line ends, and long values.

use synapsor_domain::value::Value;

use super::line::ReadableLine;
use super::page::text;
use super::{change, in_one_line, reason};

const LIMIT: usize = 2_000;

fn printed(value: &str) -> String {
    let mut page = String::new();
    text(&mut page, "note after", value, LIMIT);
    page
}

fn is_plain(line: &str) -> bool {
    matches!(ReadableLine::of(line), ReadableLine::Plain { .. })
}

#[test]
fn text_of_one_script_is_printed_as_it_is() {
    for (value, label) in [
        ("M\u{fc}ller Stra\u{df}e", "note after reads"),
        ("Привет мир", "note after (Cyrillic) reads"),
        ("佐藤さん、注文", "note after (Japanese) reads"),
        ("مرحبا", "note after (Arabic) reads"),
        ("שלום 5", "note after (Hebrew) reads"),
        ("Καλημέρα", "note after (Greek) reads"),
        ("नमस्ते", "note after (Devanagari) reads"),
        ("สวัสดี", "note after (Thai) reads"),
        ("안녕하세요 大韓", "note after (Korean) reads"),
        ("汉字", "note after (Han) reads"),
        ("\u{20ac} 5 \u{2013} \u{201c}ok\u{201d}", "note after reads"),
        ("Zażółć gęślą jaźń", "note after reads"),
        ("5 \u{b5}g", "note after reads"),
        ("e\u{301}te\u{301}", "note after reads"),
    ] {
        assert_eq!(printed(value), format!("  {label}: {value}\n"));
    }
}

#[test]
fn blanks_of_languages_are_escaped_in_readable_text() {
    const NOTE: &str = "  (printed with escapes: it has blanks other than U+0020)\n";
    assert_eq!(
        printed("12\u{a0}000\u{202f}\u{20ac}"),
        format!("  note after reads: 12\\u{{A0}}000\\u{{202F}}\u{20ac}\n{NOTE}")
    );
    assert_eq!(
        printed("注文\u{3000}一\nЖ"),
        format!("  note after reads:\n    Hani | 注文\\u{{3000}}一\n    Cyrl | Ж\n{NOTE}")
    );
    assert_eq!(in_one_line("é\u{a0}a"), "é\\u{A0}a");
}

#[test]
fn text_like_an_escape_is_not_mistaken_for_one() {
    let texts = ["é\u{a0}x", "é\\u{A0}x", "é\\\u{a0}x", "é\\\\u{A0}x"];
    let pages: std::collections::BTreeSet<String> = texts.map(printed).into();
    assert_eq!(pages.len(), texts.len(), "{pages:?}");
}

#[test]
fn escapes_are_never_cut_at_the_end_of_a_row() {
    for shift in 0..8 {
        let text = format!("{}{}", "x".repeat(shift), "\u{430}\u{e9}".repeat(60));
        let page = printed(&text);
        let rows: Vec<&str> = page
            .lines()
            .filter_map(|row| Some(row.split_once(" | ").or_else(|| row.split_once(" : "))?.1))
            .collect();
        assert!(rows.len() > 2, "{page}");
        for row in rows {
            assert_eq!(row.matches("\\u{").count(), row.matches('}').count(), "{page}");
            assert!(row.len() <= 68, "{row}");
        }
    }
}

#[test]
fn printable_ascii_needs_no_readable_form() {
    assert_eq!(printed("paid \"in\" full \\ no rest"), "");
}

#[test]
fn mixed_scripts_are_escaped_with_a_note() {
    for (value, reason) in [
        ("p\u{430}ypal", "mixes Latin and Cyrillic"),
        ("\u{440}\u{430}\u{443} now", "mixes Cyrillic and Latin"),
        ("\u{391}lpha", "mixes Greek and Latin"),
        ("注文 pay", "mixes Han and Latin"),
        ("\u{1d429}ay", "a letter of no script"),
    ] {
        let page = printed(value);
        assert!(page.contains(reason), "{page}");
        assert!(page.is_ascii(), "{page}");
    }
}

#[test]
fn hidden_and_moving_characters_are_escaped() {
    for hidden in [
        '\u{0}',
        '\u{7}',
        '\u{1b}',
        '\u{7f}',
        '\u{85}',
        '\u{ad}',
        '\u{200b}',
        '\u{200d}',
        '\u{200f}',
        '\u{202e}',
        '\u{2028}',
        '\u{2066}',
        '\u{feff}',
        '\u{fe0f}',
        '\u{e0041}',
        '\u{e000}',
        '\u{378}',
        '\t',
        '\r',
        '\u{3164}',
        '\u{61c}',
        '\u{10ffff}',
        '\u{20dd}',
    ] {
        let value = format!("caf\u{e9}{hidden}x");
        let page = printed(&value);
        assert!(
            page.is_ascii() && page.contains("esc | caf\\u{E9}"),
            "{hidden:?}: {page}"
        );
    }
}

#[test]
fn stacked_or_leading_marks_are_escaped() {
    assert!(is_plain("a\u{301}\u{302}\u{303}"));
    assert!(!is_plain(&format!("a{}", "\u{301}".repeat(4))));
    assert!(!is_plain("\u{301}a"));
    let many = printed(&format!("a{}", "\u{301}".repeat(4)));
    assert!(many.contains("more than 3 marks on one letter"), "{many}");
    for none in ["\u{301}a", "é\u{a0}\u{301}"] {
        let page = printed(none);
        assert!(page.contains("a mark that belongs to no letter"), "{page}");
    }
}

#[test]
fn line_ends_become_lines() {
    let page = printed("Straße 1\r\nДом 2\np\u{430}y\n\nend");
    assert_eq!(
        page,
        "  note after reads:\n         | Straße 1\n    Cyrl | Дом 2\n     esc | p\\u{430}y\n         | \n         | end\n  \
         (printed with escapes: it mixes Latin and Cyrillic letters)\n"
    );
}

#[test]
fn foreign_text_never_starts_a_row_of_the_terminal() {
    let wide = "注".repeat(200);
    let fake = format!("{}\nstate           approved\n", "x".repeat(300));
    for page in [printed(&wide), printed(&fake)] {
        for row in page.lines() {
            assert!(row.starts_with("  "), "{row}");
            assert!(row.chars().map(super::line::width).sum::<usize>() <= 80, "{row}");
        }
    }
}

#[test]
fn long_value_is_cut_and_named() {
    let page = printed(&"é".repeat(LIMIT + 1));
    assert!(
        page.contains("only the first 2000 characters are printed"),
        "{page}"
    );
    assert_eq!(page.matches('é').count(), LIMIT);
}

#[test]
fn long_change_shows_only_differing_parts() {
    let before = "Быстрая лиса прыгает. ".repeat(500);
    let after =
        before
            .replacen("лиса прыгает", "лиса платит", 300)
            .replacen("лиса платит", "лиса прыгает", 299);
    let mut page = String::new();
    change(
        &mut page,
        "note",
        &Value::text(&before),
        &Value::text(&after),
        LIMIT,
    );
    assert!(page.contains("note part 1 before reads:\n    Cyrl | "), "{page}");
    assert!(page.contains("лиса платит"), "{page}");
    assert!(page.chars().count() < 1_000, "{page}");
    let mut full = String::new();
    change(
        &mut full,
        "note",
        &Value::text(&before),
        &Value::text(&after),
        usize::MAX,
    );
    assert_eq!(full.matches("лиса").count(), 1_000);
}

#[test]
fn text_in_one_line_escapes_only_unsafe_lines() {
    assert_eq!(
        in_one_line("no budget\nréservé à l'équipe"),
        "no budget / réservé à l'équipe"
    );
    assert_eq!(in_one_line("a\u{202e}b\r\nc"), "a\\u{202E}b / c");
    assert_eq!(in_one_line("plain"), "plain");
}

#[test]
fn reason_is_printed_by_the_rules_of_the_review() {
    for (text, printed) in [
        ("no \"budget\" \\ left", "  reason: no \"budget\" \\ left"),
        ("réservé à l'équipe", "  reason: réservé à l'équipe"),
        ("Счёт закрыт", "  reason (Cyrillic): Счёт закрыт"),
        (
            "p\u{430}y now",
            "  reason:\n     esc | p\\u{430}y now\n  (printed with escapes: it mixes Latin and Cyrillic letters)",
        ),
        (
            "a\u{202e}b\r\nДом",
            "  reason:\n     esc | a\\u{202E}b\n    Cyrl | Дом\n  \
             (printed with escapes: it contains U+202E, which does not print)",
        ),
    ] {
        assert_eq!(reason(text), printed);
    }
    let long = reason(&"注".repeat(200));
    let fake = reason(&format!("{}state           approved", "x".repeat(62)));
    for row in long.lines().chain(fake.lines()) {
        assert!(row.starts_with("  "), "{row}");
        assert!(row.chars().map(super::line::width).sum::<usize>() <= 80, "{row}");
    }
}
