//! Identity by RPC: every certificate tried at every RPC of every process, and no RPC of the writer that writes.

use synapsor_chassis::identity::Role;

use super::Report;
use crate::access::{all_rpcs, call, instance_of, is_allowed, is_let_in, served_by};
use crate::stack::{Stack, channel};

/// Verbs with which an RPC of the writer must not begin: the writer pulls its jobs from the ledger.
const WRITING: [&str; 14] = [
    "Apply", "Execute", "Write", "Update", "Insert", "Delete", "Commit", "Run", "Set", "Put", "Call",
    "Submit", "Approve", "Settle",
];

pub(super) async fn check(stack: &Stack, report: &mut Report) -> anyhow::Result<()> {
    writer_has_no_write(report);
    let writer = stack.writer.as_ref().expect("a writer");
    let servers = [
        (Role::Reader, &stack.reader.address),
        (Role::Writer, &writer.address),
        (Role::Ledger, &stack.ledger.address),
    ];
    println!("wall: who may call what, tried with real certificates");
    let header: Vec<String> = Role::ALL
        .iter()
        .map(|r| format!("{:>9}", r.to_string()))
        .collect();
    println!("  {:58}{}", "RPC", header.concat());
    let rpcs = all_rpcs();
    let mut elsewhere = 0;
    for (served, address) in servers {
        let mut channels = Vec::new();
        for caller in Role::ALL {
            channels.push((
                caller,
                channel(&stack.deployment, caller, instance_of(caller), served, address)?,
            ));
        }
        for rpc in &rpcs {
            let mut row = String::new();
            for (caller, channel) in &channels {
                let answer = call(channel, &rpc.path()).await;
                let (is_in, should) = (is_let_in(&answer), is_allowed(*caller, &rpc.service, served));
                row.push_str(&format!("{:>9}", if is_in { "allowed" } else { "-" }));
                report.check(
                    is_in == should,
                    format!("{caller} at the {served}, {}: {answer:?}", rpc.path()),
                );
            }
            if served_by(&rpc.service) == served {
                println!("  {:58}{row}", rpc.path());
            } else {
                elsewhere += channels.len();
            }
        }
    }
    println!("  and {elsewhere} calls of RPCs at processes that do not serve them");
    Ok(())
}

fn writer_has_no_write(report: &mut Report) {
    for rpc in all_rpcs()
        .iter()
        .filter(|rpc| served_by(&rpc.service) == Role::Writer)
    {
        // SetFrozen stops writes, or ends a stop.
        let writes = rpc.name != "SetFrozen" && WRITING.iter().any(|word| rpc.name.starts_with(word));
        report.check(
            !writes,
            format!("the writer serves {}, whose name implies a write", rpc.path()),
        );
    }
}
