//! Rules of the resources that each process may hold, checked on an inspection of all.

use super::Report;
use super::look::{Kind, Seen};

const READ_URL: &str = "BILLING_READ_URL";
const WRITE_URL: &str = "BILLING_WRITE_URL";
const CONTEXT: [&str; 2] = ["BILLING_TENANT", "BILLING_PRINCIPAL"];
const LOGS: [&str; 2] = ["SYNAPSOR_LOG_LEVEL", "SYNAPSOR_LOG_FORMAT"];
/// Variable with the static token of the MCP endpoint.
pub(super) const TOKEN: &str = "SYNAPSOR_RUNNER_HTTP_TOKEN";
/// The four processes, in output order.
pub(super) const NAMES: [&str; 4] = ["gateway", "reader", "writer", "ledger"];

/// Permitted names of a process, and the required ones, without which the inspection proves nothing.
fn variables(name: &str) -> (Vec<&'static str>, Vec<&'static str>) {
    let mut needed = match name {
        "gateway" => vec![TOKEN],
        "reader" => vec![READ_URL],
        "writer" => vec![WRITE_URL],
        _ => vec![],
    };
    let mut may = needed.clone();
    may.extend(LOGS);
    if name == "reader" {
        may.extend(CONTEXT);
        needed.extend(CONTEXT);
    }
    (may, needed)
}

/// Checks the processes of one deployment; `scene` names how it was started.
pub(super) fn judge(scene: &str, all: &[Seen], report: &mut Report) {
    println!("wall: {scene}");
    for seen in all {
        print!("{seen}");
    }
    let names: Vec<&str> = all.iter().map(|s| s.name.as_str()).collect();
    report.check(
        NAMES.iter().all(|n| names.contains(n)),
        format!("{scene}: all four run, found {names:?}"),
    );
    for seen in all {
        let about = format!("{scene}, {}", seen.name);
        environment(&about, seen, report);
        files(&about, seen, report);
        listeners(&about, seen, report);
    }
}

fn environment(about: &str, seen: &Seen, report: &mut Report) {
    let (may, needed) = variables(&seen.name);
    for name in &seen.variables {
        report.check(
            may.contains(&name.as_str()),
            format!("{about}: holds the variable {name}"),
        );
    }
    for name in needed {
        report.check(
            seen.variables.iter().any(|v| v == name),
            format!("{about}: does not hold {name}"),
        );
    }
    let allowed = match seen.name.as_str() {
        "reader" => READ_URL,
        "writer" => WRITE_URL,
        _ => "",
    };
    for name in &seen.urls {
        report.check(
            name == allowed,
            format!("{about}: the variable {name} holds a URL"),
        );
    }
}

fn files(about: &str, seen: &Seen, report: &mut Report) {
    let Some(files) = &seen.files else {
        return;
    };
    let (reads, writes) = (seen.name == "reader", seen.name == "writer");
    for file in files {
        let target = &file.target;
        match file.kind {
            Kind::Database => {
                report.check(
                    reads || writes,
                    format!("{about}: has the database open: {target}"),
                );
                report.check(
                    writes || !file.is_writable,
                    format!("{about}: can write to the database: {target}"),
                );
            }
            Kind::DatabaseSide => {
                report.check(
                    reads || writes,
                    format!("{about}: has a file of the database open: {target}"),
                );
            }
            Kind::Store => report.check(
                seen.name == "ledger",
                format!("{about}: has the store open: {target}"),
            ),
            Kind::Other => report.check(false, format!("{about}: has an unexplained file open: {target}")),
            Kind::Certificate
            | Kind::Log
            | Kind::Own
            | Kind::Socket
            | Kind::Pipe
            | Kind::Event
            | Kind::Device
            | Kind::Inherited => {}
        }
    }
    // Without these, the checks above would also pass for idle processes.
    report.check(
        !writes || seen.can_write_database(),
        format!("{about}: was not seen with the database"),
    );
    report.check(
        !reads || seen.holds_database(),
        format!("{about}: was not seen with the database"),
    );
    report.check(
        seen.name != "ledger" || seen.holds(Kind::Store),
        format!("{about}: was not seen with its store"),
    );
}

fn listeners(about: &str, seen: &Seen, report: &mut Report) {
    let Some(listeners) = &seen.listeners else {
        let is_loopback = seen.address.starts_with("127.0.0.1:") || seen.address.starts_with("[::1]:");
        report.check(
            is_loopback,
            format!("{about}: listens off loopback at {}", seen.address),
        );
        return;
    };
    for address in listeners {
        report.check(
            address.ip().is_loopback(),
            format!("{about}: listens off loopback at {address}"),
        );
        report.check(
            address.to_string() == seen.address,
            format!("{about}: listens at {address} as well"),
        );
    }
    report.check(
        listeners.len() == 1,
        format!("{about}: has {} listeners", listeners.len()),
    );
}

#[cfg(test)]
mod tests {
    use super::super::look::OpenFile;
    use super::*;

    fn file(kind: Kind, is_writable: bool) -> OpenFile {
        OpenFile {
            kind,
            target: "/a/file".to_owned(),
            is_writable,
        }
    }

    fn all() -> Vec<Seen> {
        let address: std::net::SocketAddr = "127.0.0.1:4000".parse().unwrap();
        let seen = |name: &str, files: Vec<OpenFile>| Seen {
            name: name.to_owned(),
            pid: 1,
            address: address.to_string(),
            variables: variables(name).1.into_iter().map(ToOwned::to_owned).collect(),
            is_from_kernel: true,
            urls: Vec::new(),
            files: Some(files),
            listeners: Some(vec![address]),
        };
        vec![
            seen("gateway", vec![]),
            seen("reader", vec![file(Kind::Database, false)]),
            seen("writer", vec![file(Kind::Database, true)]),
            seen("ledger", vec![file(Kind::Store, true)]),
        ]
    }

    fn violations(change: impl Fn(&mut Vec<Seen>)) -> usize {
        let (mut seen, mut report) = (all(), Report::default());
        change(&mut seen);
        judge("a test", &seen, &mut report);
        report.violations.len()
    }

    #[test]
    fn isolated_processes_are_no_violation() {
        assert_eq!(violations(|_| {}), 0);
    }

    #[test]
    fn every_isolation_breach_is_a_violation() {
        let outside = || "0.0.0.0:4000".parse().unwrap();
        let holes: [fn(&mut Vec<Seen>); 9] = [
            |all| all[0].variables.push(READ_URL.to_owned()),
            |all| all[1].variables.push(WRITE_URL.to_owned()),
            |all| all[2].variables.push(READ_URL.to_owned()),
            |all| all[3].urls.push("SYNAPSOR_LOG_LEVEL".to_owned()),
            |all| all[0].files.as_mut().unwrap().push(file(Kind::Database, false)),
            |all| all[0].files.as_mut().unwrap().push(file(Kind::Store, false)),
            |all| all[1].files.as_mut().unwrap().push(file(Kind::Database, true)),
            |all| all[3].files.as_mut().unwrap().push(file(Kind::Other, false)),
            |all| drop(all.pop()),
        ];
        for (number, hole) in holes.iter().enumerate() {
            assert!(violations(hole) > 0, "hole {number}");
        }
        assert!(violations(|all| all[2].listeners.as_mut().unwrap().push(outside())) > 0);
    }
}
