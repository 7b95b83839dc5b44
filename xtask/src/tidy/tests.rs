//! Tests of the language checks, each over a small tree with one violation.

use std::collections::BTreeMap;
use std::path::Path;

use super::baseline::Baseline;
use super::source::Source;
use super::words::Banned;
use super::{Violation, codes, links, test_names, types};

fn source(path: &str, text: &str) -> Source {
    Source::parse(Path::new(path), text.to_owned()).unwrap()
}

fn banned() -> Banned {
    let words = BTreeMap::from([
        ("anew".to_owned(), "again".to_owned()),
        ("goes on".to_owned(), "continues".to_owned()),
    ]);
    Banned::new(&words).unwrap()
}

/// Lines of the violations that a Rust text has.
fn lines_with_banned_words(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    banned().check_source(&source("domain/src/x.rs", text), &mut found);
    found.iter().map(|violation| violation.line).collect()
}

#[test]
fn banned_words_are_found_in_comments_docs_and_strings() {
    let text = "//! It goes  on.\n// once anew\nfn f() {\n    /* x */ g(\"start Anew\"); // goes on\n}\n";
    assert_eq!(lines_with_banned_words(text), [1, 4, 2, 4]);
}

#[test]
fn identifiers_and_placeholders_are_not_scanned() {
    let text = "fn anew(anew: u8) -> String {\n    format!(\"value {anew}\")\n}\n";
    assert_eq!(lines_with_banned_words(text), Vec::<usize>::new());
}

#[test]
fn line_opts_out_with_the_word_and_no_other() {
    assert!(lines_with_banned_words("// anew tidy:allow(anew) name of a file\n").is_empty());
    assert!(lines_with_banned_words("// tidy:allow(anew) name\nconst A: &str = \"anew\";\n").is_empty());
    assert_eq!(lines_with_banned_words("// anew tidy:allow(road)\n"), [1]);
}

#[test]
fn visible_types_have_one_name_in_product_code() {
    let first = source("ledger/src/a.rs", "//! A.\npub struct Job;\nstruct Own;\n");
    let second = source("cli/src/b.rs", "//! B.\npub(crate) enum Job {}\nstruct Own;\n");
    let test = source("e2e/src/c.rs", "//! C.\npub struct Job;\n");
    let allowed = BTreeMap::new();
    let found = types::duplicates(&[first, second, test], &allowed);
    let paths: Vec<&str> = found.iter().map(|violation| violation.path.as_str()).collect();
    assert_eq!(paths, ["ledger/src/a.rs", "cli/src/b.rs"]);
    let allowed = BTreeMap::from([("Job".to_owned(), "reason".to_owned())]);
    let twice = [
        source("a/src/a.rs", "pub struct Job;"),
        source("b/src/b.rs", "pub struct Job;"),
    ];
    assert!(types::duplicates(&twice, &allowed).is_empty());
}

#[test]
fn files_begin_with_a_module_doc() {
    assert!(types::missing_module_doc(&source("a/src/a.rs", "fn f() {}\n")).is_some());
    assert!(types::missing_module_doc(&source("a/src/a.rs", "#![no_std]\n\n//! Does it.\n")).is_none());
}

#[test]
fn references_must_resolve() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sources = [source("xtask/src/main.rs", "fn main() {}\n")];
    let text = "[ok](README.md) [no](missing.md) [out](https://example.com)\n\
        `xtask/src/main.rs::main` `xtask/src/main.rs::absent` `xtask/src/absent.rs` `xtask/src/none` `xtask/src/tidy`\n\
        ```\n[in a block](missing.md)\n```\n";
    let mut found = Vec::new();
    links::check(&root, Path::new("page.md"), text, &sources, &mut found);
    let texts: Vec<String> = found.iter().map(|violation| violation.text.clone()).collect();
    assert_eq!(
        texts,
        [
            "link `missing.md` does not resolve",
            "`absent` is not a function of xtask/src/main.rs",
            "file `xtask/src/absent.rs` does not exist",
            "directory `xtask/src/none` does not exist",
        ]
    );
}

#[test]
fn baseline_may_shrink_and_never_grow() {
    let violation = |path: &str| Violation {
        path: path.to_owned(),
        line: 1,
        text: "x".to_owned(),
    };
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("xtask")).unwrap();
    let read = || Baseline::read(root.path()).unwrap();
    read()
        .update(root.path(), &[violation("a"), violation("a")])
        .unwrap();
    assert!(read().compare(&[violation("a"), violation("a")]).is_ok());
    assert!(
        read()
            .compare(&[violation("a"), violation("a"), violation("a")])
            .is_err()
    );
    assert!(
        read()
            .compare(&[violation("a"), violation("a"), violation("b")])
            .is_err()
    );
    assert!(
        read().compare(&[violation("a")]).is_err(),
        "a baseline that is too large"
    );
    assert!(read().update(root.path(), &[violation("b")]).is_err());
    read().update(root.path(), &[violation("a")]).unwrap();
    assert_eq!(read().total(), 1);
}

#[test]
fn error_code_as_text_is_found_outside_tests_and_the_list() {
    let text = "//! A.\nfn f(code: &str) -> bool {\n    code == \"STORE_LOCKED\"\n}\n#[cfg(test)]\nmod tests {\n    const A: &str = \"STORE_LOCKED\";\n}\n";
    let lines = |path: &str| -> Vec<usize> {
        let found = codes::as_text(&source(path, text));
        found.iter().map(|violation| violation.line).collect()
    };
    assert_eq!(lines("ledger/src/x.rs"), [3]);
    assert_eq!(lines("codes/src/list.rs"), Vec::<usize>::new());
    assert_eq!(lines("ledger/src/tests/x.rs"), Vec::<usize>::new());
}

#[test]
fn names_of_tests_have_a_maximum_length() {
    let (fits, long) = ("a".repeat(60), "a".repeat(61));
    let text = format!(
        "#[test]\nfn {fits}() {{}}\n#[tokio::test(flavor = \"x\")]\nasync fn {long}() {{}}\nfn {long}() {{}}\n"
    );
    let found = test_names::too_long(&source("cli/src/x.rs", &text));
    assert_eq!(
        found.iter().map(|violation| violation.line).collect::<Vec<_>>(),
        [4]
    );
}
