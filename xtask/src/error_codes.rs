//! `error-codes`: writes `docs/error-codes.md` from the list of codes, or checks that it is up to date.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use synapsor_codes::{Area, ErrorCode, Exit, HttpError, SafeCode};

const TOP: &str = "\
# Error codes

<!-- Written by `cargo xtask error-codes` from `codes/src/list.rs`; do not edit. -->

Every error has a stable code. A command prints it as `error[CODE]: message`, and with `--json` findings carry it
as `code`. Codes are never renamed; a code that is no longer used is not used again.

A code decides how a command exits and how an RPC fails. An agent never sees a code of this list directly: it
receives one of the [safe codes](#codes-that-agents-see), with a message that discloses nothing about other
tenants, the database or the operators. In [result format 1](http.md) it receives the code itself where that is
equally safe.
";

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .with_file_name("docs")
        .join("error-codes.md");
    let page = page();
    match arguments {
        [] => fs::write(&path, page).with_context(|| format!("cannot write {}", path.display())),
        ["--check"] if fs::read_to_string(&path).ok().as_deref() == Some(&page) => Ok(()),
        ["--check"] => {
            bail!("docs/error-codes.md is stale: run `cargo xtask error-codes` and review the diff")
        }
        _ => bail!("usage: cargo xtask error-codes [--check]"),
    }
}

fn page() -> String {
    let mut page = TOP.to_owned();
    page.push_str("\n## Exit codes\n\n| exit | meaning |\n|---|---|\n");
    for exit in Exit::ALL {
        let _ = writeln!(page, "| {} | {} |", exit.number(), exit.meaning());
    }
    page.push_str(
        "\n## Codes that agents see\n\n| code | same call can succeed later | message |\n|---|---|---|\n",
    );
    for safe in SafeCode::ALL {
        let again = if safe.retryable() { "yes" } else { "no" };
        let _ = writeln!(page, "| `{}` | {again} | {} |", safe.as_str(), safe.sentence());
    }
    page.push_str(
        "\n## Errors of the HTTP endpoint\n\nThe body is `{\"ok\": false, \"error\": \"…\"}`.\n\n\
         | status | error | meaning |\n|---|---|---|\n",
    );
    for error in HttpError::ALL {
        let _ = writeln!(
            page,
            "| {} | `{}` | {} |",
            error.status(),
            error.as_str(),
            error.meaning()
        );
    }
    for area in Area::ALL {
        section(&mut page, area);
    }
    page
}

fn section(page: &mut String, area: Area) {
    let _ = writeln!(
        page,
        "\n## {}\n\n| code | meaning | exit | gRPC | agent |\n|---|---|---|---|---|",
        area.heading()
    );
    for code in ErrorCode::ALL.iter().copied().filter(|code| code.area() == area) {
        let _ = writeln!(
            page,
            "| `{code}` | {} | {} | `{}` | `{}` |",
            code.meaning(),
            code.exit().number(),
            code.rpc_status().as_str(),
            code.safe().as_str()
        );
    }
}
