//! Compares the clocks of a deployment: writer, databases, ledger and this machine.

use synapsor_codes::ErrorCode;
use synapsor_domain::limits::DATABASE_SKEW_SECONDS;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::{FindingSeverity, PreflightFinding};

use crate::clients::Times;
use crate::output::safe;
use crate::workflows::now;

/// Clock difference that is tolerated, in milliseconds, because a query takes time.
const SAME_MS: i64 = 2_000;

/// Returns the findings about a running writer's clocks; none when all agree.
pub(super) fn findings(times: &Times) -> Vec<PreflightFinding> {
    compare(times, now())
}

fn compare(times: &Times, own: Timestamp) -> Vec<PreflightFinding> {
    let mut named = vec![("writer".to_owned(), times.writer)];
    named.extend(times.ledger.map(|at| ("ledger".to_owned(), at)));
    let databases = times.databases.iter();
    named.extend(databases.map(|(source, at)| (format!("database of `{}`", safe(source)), *at)));
    named.push(("this command".to_owned(), own));
    let all = || named.iter().map(|(_, at)| at.as_unix_millis());
    let (Some(least), Some(most)) = (all().min(), all().max()) else {
        return Vec::new();
    };
    if most - least <= SAME_MS {
        return Vec::new();
    }
    let shown: Vec<_> = named.iter().map(|(name, at)| format!("{name} {at}")).collect();
    let apart = |at: &Timestamp| (*at - times.writer).as_seconds().abs();
    let is_refused = times
        .databases
        .iter()
        .any(|(_, at)| apart(at) > DATABASE_SKEW_SECONDS);
    vec![PreflightFinding {
        severity: if is_refused {
            FindingSeverity::Error
        } else {
            FindingSeverity::Warning
        },
        code: ErrorCode::ClocksDiffer,
        text: format!("the clocks differ: {}; correct the wrong ones", shown.join(", ")),
        fix: None,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn at(by: i64) -> Timestamp {
        Timestamp::from_unix_millis(NOW + by)
    }

    #[test]
    fn clock_difference_lists_every_clock() {
        let times = |database, ledger| Times {
            writer: at(0),
            ledger: Some(at(ledger)),
            databases: vec![("app".to_owned(), at(database))],
        };
        assert!(compare(&times(500, -500), at(1_000)).is_empty());
        for (times, own, severity) in [
            (times(121_000, 0), at(0), FindingSeverity::Error),
            (times(3_000, 0), at(0), FindingSeverity::Warning),
            (times(0, 7_200_000), at(0), FindingSeverity::Warning),
            (times(0, 0), at(-7_200_000), FindingSeverity::Warning),
        ] {
            let found = compare(&times, own);
            assert_eq!(
                (found[0].code.as_str(), found[0].severity),
                ("CLOCKS_DIFFER", severity)
            );
            for clock in [
                "writer 2027",
                "ledger 2027",
                "database of `app` 2027",
                "this command 2027",
            ] {
                assert!(found[0].text.contains(clock), "{}", found[0].text);
            }
        }
    }
}
