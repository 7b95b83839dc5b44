//! README example: its SQLite block, run literally in an empty directory, ends with the changed row. The block
//! that needs a server runs with the guide for one's own database.

use std::process::Command;

use synapsor_e2e::binaries::Build;

const README: &str = include_str!("../../../README.md");

pub(crate) fn shell_blocks(markdown: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    let mut rest = markdown;
    while let Some(start) = rest.find("```sh\n") {
        let body = &rest[start + 6..];
        let end = body.find("\n```").expect("a closed block");
        blocks.push(&body[..end]);
        rest = &body[end..];
    }
    blocks
}

#[test]
fn readme_sqlite_section_works_unchanged() -> anyhow::Result<()> {
    let blocks = shell_blocks(README);
    assert_eq!(
        blocks.len(),
        2,
        "README has another number of shell blocks than this test expects"
    );
    let folder = tempfile::tempdir()?;
    let path = format!("{}:/usr/bin:/bin", Build::Plain.folder()?.display());
    let run = Command::new("bash")
        .args(["-euo", "pipefail", "-c", blocks[1]])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", path)
        .env("HOME", folder.path())
        .env("USER", "reader")
        .output()?;
    let (out, err) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    assert!(run.status.success(), "{out}\n{err}");
    for promise in ["source changed: no", "Applied: one row changed, once", "receipt"] {
        assert!(out.contains(promise), "`{promise}` is missing in:\n{out}");
    }
    let row = rusqlite::Connection::open(folder.path().join("app.db"))?.query_row(
        "SELECT late_fee_cents, waiver_reason FROM invoices WHERE id = 'INV-3001'",
        [],
        |r| Ok((r.get::<_, i64>(0)?, r.get::<_, String>(1)?)),
    )?;
    assert_eq!(row, (0, "first late payment".to_owned()));
    Ok(())
}
