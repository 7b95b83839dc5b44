//! Resource usage of processes from the kernel: processor seconds, context switches, bytes written and peak memory.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Value as Json, json};

use super::figures::rounded;

/// Linux reports processor time in this unit, independent of its internal unit.
const TICKS_PER_SECOND: f64 = 100.0;

/// Process that is measured.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) name: String,
    pub(super) pid: u32,
    /// Whether its direct children count with it, ended ones included: a PostgreSQL server has one per session.
    pub(super) with_children: bool,
}

impl Measured {
    pub(super) fn one(name: &str, pid: u32) -> Self {
        Self {
            name: name.to_owned(),
            pid,
            with_children: false,
        }
    }
}

/// Usage of several processes at one instant.
#[derive(Debug)]
pub(super) struct Usage(BTreeMap<String, Used>);

#[derive(Debug, Clone, Copy, Default)]
struct Used {
    cpu_seconds: f64,
    /// Times that a thread gave its processor away or lost it.
    switches: u64,
    /// Bytes that the kernel has to write to a disk for the process; 0 for files on tmpfs.
    written: u64,
}

impl Usage {
    /// Reads the usage of processes.
    pub(super) fn now(processes: &[Measured]) -> anyhow::Result<Self> {
        let all = processes
            .iter()
            .map(|process| Ok((process.name.clone(), used(process)?)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self(all))
    }

    /// Returns the usage since then, in total and per call, and the peak memory so far.
    pub(super) fn since(&self, processes: &[Measured], calls: u64) -> anyhow::Result<Json> {
        let now = Self::now(processes)?;
        let mut all = json!({});
        for process in processes {
            let before = self.0.get(&process.name).copied().unwrap_or_default();
            let after = now.0[&process.name];
            let seconds = after.cpu_seconds - before.cpu_seconds;
            // Threads that ended take their counts with them.
            let per_call =
                |after: u64, before: u64| after.saturating_sub(before) as f64 / calls.max(1) as f64;
            all[&process.name] = json!({
                "cpu_seconds": rounded(seconds, 2),
                "cpu_us_per_call": rounded(seconds * 1e6 / calls.max(1) as f64, 1),
                "context_switches_per_call": rounded(per_call(after.switches, before.switches), 2),
                "written_bytes_per_call": rounded(per_call(after.written, before.written), 0),
                "peak_memory_mb": rounded(memory_kb(process.pid, "VmHWM:")? as f64 / 1024.0, 1),
            });
        }
        Ok(all)
    }
}

fn used(process: &Measured) -> anyhow::Result<Used> {
    let mut sum = Used {
        cpu_seconds: cpu_seconds(process.pid, process.with_children)?,
        switches: context_switches(process.pid)?,
        written: written_bytes(process.pid).unwrap_or_default(),
    };
    if process.with_children {
        let pid = process.pid;
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        for child in children.split_whitespace() {
            let child = child.parse()?;
            // A child that has ended meanwhile counts in the time of its parent.
            sum.cpu_seconds += cpu_seconds(child, false).unwrap_or_default();
            sum.switches += context_switches(child).unwrap_or_default();
            sum.written += written_bytes(child).unwrap_or_default();
        }
    }
    Ok(sum)
}

/// Processor time of a process, and of its ended children.
fn cpu_seconds(pid: u32, with_ended_children: bool) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may contain spaces; the 12th to 15th field after it are user and system ticks of the
    // process and of its ended children.
    let (_, fields) = stat.rsplit_once(')').context("a process name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |i: usize| -> anyhow::Result<f64> { Ok(fields.get(i).context("a field")?.parse()?) };
    let mut sum = ticks(11)? + ticks(12)?;
    if with_ended_children {
        sum += ticks(13)? + ticks(14)?;
    }
    Ok(sum / TICKS_PER_SECOND)
}

fn written_bytes(pid: u32) -> anyhow::Result<u64> {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io"))?;
    let found = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(found.context("written bytes")?.parse()?)
}

/// Voluntary and other context switches of all threads of a process.
fn context_switches(pid: u32) -> anyhow::Result<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread can end meanwhile.
        let status = std::fs::read_to_string(thread?.path().join("status")).unwrap_or_default();
        let counts = status
            .lines()
            .filter_map(|line| line.split_once("_ctxt_switches:"));
        sum += counts
            .filter_map(|(_, count)| count.trim().parse::<u64>().ok())
            .sum::<u64>();
    }
    Ok(sum)
}

/// Value of a line of the process's status, in KiB: `VmHWM:` for the peak, `VmRSS:` for the current value.
pub(super) fn memory_kb(pid: u32, line: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let found = status.lines().find_map(|l| l.strip_prefix(line));
    let number = found.context("a line of the status")?.trim();
    Ok(number.trim_end_matches(" kB").trim().parse()?)
}
