//! Publishes the list of behaviours and checks that the published list is current.

use std::fmt::Write as _;
use std::path::Path;

use super::behaviours::ALL;

const ENGINES: [&str; 4] = ["SQLite", "PostgreSQL", "MySQL", "MariaDB"];

fn rendered() -> String {
    let mut text = format!(
        "# Engine conformance\n\nBehaviours of every database engine of this program, each tested against a real \
         server: {} behaviours.\nA complete engine passes all of them. The test `published_list_is_current` \
         in\n`writeback/src/conformance` writes this file; the behaviours are in the same \
         directory.\n\n| Behaviour | {} |\n|---|{}\n",
        ALL.len(),
        ENGINES.join(" | "),
        "---|".repeat(ENGINES.len())
    );
    for (name, _) in ALL {
        writeln!(text, "| {name} |{}", " yes |".repeat(ENGINES.len())).unwrap();
    }
    text
}

#[test]
fn published_list_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/engine-conformance.md");
    let wanted = rendered();
    if std::fs::read_to_string(&path).ok().as_deref() != Some(&wanted) {
        std::fs::write(&path, wanted).unwrap();
        panic!("docs/engine-conformance.md was outdated and has been rewritten; commit it");
    }
}
