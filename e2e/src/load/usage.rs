//! Resource usage of processes from the kernel: processor seconds, context switches and peak memory.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Value as Json, json};

use super::figures::rounded;

/// Linux reports processor time in this unit, independent of its internal unit.
const TICKS_PER_SECOND: f64 = 100.0;

/// Usage of several processes at one instant.
#[derive(Debug)]
pub(super) struct Usage(BTreeMap<String, Used>);

#[derive(Debug, Clone, Copy, Default)]
struct Used {
    cpu_seconds: f64,
    /// Times that a thread gave its processor away or lost it.
    switches: u64,
}

impl Usage {
    /// Reads the usage of processes by name and pid.
    pub(super) fn now(processes: &[(String, u32)]) -> anyhow::Result<Self> {
        let used = |pid| {
            anyhow::Ok(Used {
                cpu_seconds: cpu_seconds(pid)?,
                switches: context_switches(pid)?,
            })
        };
        let all = processes
            .iter()
            .map(|(name, pid)| Ok((name.clone(), used(*pid)?)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self(all))
    }

    /// Returns the usage since then, in total and per call, and the peak memory so far.
    pub(super) fn since(&self, processes: &[(String, u32)], calls: u64) -> anyhow::Result<Json> {
        let now = Self::now(processes)?;
        let mut used = json!({});
        for (name, pid) in processes {
            let before = self.0.get(name).copied().unwrap_or_default();
            let seconds = now.0[name].cpu_seconds - before.cpu_seconds;
            // Threads that ended take their count with them.
            let switches = now.0[name].switches.saturating_sub(before.switches);
            used[name] = json!({
                "cpu_seconds": rounded(seconds, 2),
                "cpu_us_per_call": rounded(seconds * 1e6 / calls.max(1) as f64, 1),
                "context_switches_per_call": rounded(switches as f64 / calls.max(1) as f64, 2),
                "peak_memory_mb": rounded(memory_kb(*pid, "VmHWM:")? as f64 / 1024.0, 1),
            });
        }
        Ok(used)
    }
}

fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may contain spaces; the 12th and 13th field after it are user and system ticks.
    let (_, fields) = stat.rsplit_once(')').context("a process name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |i: usize| -> anyhow::Result<f64> { Ok(fields.get(i).context("a field")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
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
