//! Concurrency proof: many writers get every job many times, concurrently. Every proposal has exactly one effect,
//! all reports agree, and exactly one of the rivals for one row succeeds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::writeback::AttemptResult;

use super::Plan;
use super::checker::Checker;
use super::crash_harness::{Case, CrashHarness};
use super::findings::Findings;
use super::journal::Journal;
use super::proof_env::{self, ProofEnv, Servers};
use crate::binaries::Build;
use crate::duplicating_ledger::{DuplicatingLedger, ReportedAttempt};
use crate::hostile_ledger::JobInputs;
use crate::operator::{decision, seal_decision};
use crate::stack;

/// Rival proposals for one row.
const RIVALS: usize = 5;
/// Liveness limit: four engines at once on two processors take a quarter of an hour.
const ALL_DONE: Duration = Duration::from_secs(2_400);

/// Sizes of a run.
#[derive(Debug, Clone, Copy)]
struct Size {
    writers: usize,
    /// Number of times that each writer gets each job.
    duplicates: usize,
    /// Proposals with their own row.
    proposals: usize,
    /// Rows with rival proposals.
    contested: usize,
}

const FULL: Size = Size {
    writers: 8,
    duplicates: 16,
    proposals: 200,
    contested: 8,
};
const SMALL: Size = Size {
    writers: 4,
    duplicates: 4,
    proposals: 20,
    contested: 2,
};

pub(super) async fn run(plan: Plan) -> anyhow::Result<Json> {
    let size = if plan.small { SMALL } else { FULL };
    proof_env::on_every_engine("concurrency", plan, Servers::Shared, |ground| {
        Box::pin(on_engine(ground, size))
    })
    .await
}

/// Proposals that all writers process.
struct Work {
    alone: Vec<Case>,
    /// Grouped by row.
    rivals: Vec<Vec<Case>>,
    inputs: Vec<(ProposalId, JobInputs)>,
}

async fn on_engine(ground: ProofEnv, size: Size) -> anyhow::Result<Json> {
    let mut bench = ground.bench(Build::Plain).await?;
    let work = work(&mut bench, size).await?;
    let deployment = &bench.stack.deployment;
    let journal = Journal::watch(ground.checker(deployment)?, "CR-");
    let began = Instant::now();
    let ledger = DuplicatingLedger::start(deployment, &work.inputs, size.writers, size.duplicates).await?;
    let writers: Vec<_> = (1..=size.writers)
        .map(|number| stack::writer(deployment, &ledger.address, &format!("crowd-{number}"), &[]))
        .collect::<anyhow::Result<_>>()?;
    let reports = ledger.everything(ALL_DONE).await?;
    let took = began.elapsed();
    drop(writers);
    journal.close().await?;
    let mut findings = Findings::default();
    let effects = effects(&bench.checker, &mut findings, &work)?;
    let tally = compare_reports(&bench, &mut findings, &work, &reports)?;
    Ok(json!({
        "writers": size.writers,
        "duplicates": size.duplicates,
        "proposals": size.proposals,
        "effects": effects,
        "contested_rows": size.contested,
        "rivals": size.contested * RIVALS,
        "attempts": ledger.expected,
        "results": tally,
        "seconds": took.as_secs(),
        "violations": findings.violations,
    }))
}

async fn work(bench: &mut CrashHarness, size: Size) -> anyhow::Result<Work> {
    let mut work = Work {
        alone: Vec::new(),
        rivals: Vec::new(),
        inputs: Vec::new(),
    };
    for number in 0..size.proposals {
        let case = bench.proposed(&format!("alone {number}")).await?;
        work.inputs.push(signed(bench, &case).await?);
        work.alone.push(case);
    }
    for row in 0..size.contested {
        let invoice = format!("CX-{row:04}");
        bench
            .checker
            .query(&super::invoices::insert(std::slice::from_ref(&invoice)))?;
        let mut rivals = Vec::new();
        for number in 0..RIVALS {
            let case = bench
                .proposed_on(&invoice, &format!("rival {number} for {row}"))
                .await?;
            work.inputs.push(signed(bench, &case).await?);
            rivals.push(case);
        }
        work.rivals.push(rivals);
    }
    Ok(work)
}

/// Signed job inputs for the writers. The ledger that holds the proposal closes it, so that the agent may open the
/// next one; these writers never use that ledger.
async fn signed(bench: &mut CrashHarness, case: &Case) -> anyhow::Result<(ProposalId, JobInputs)> {
    let deployment = &bench.stack.deployment;
    let alice = deployment.person("alice");
    let deny = seal_decision(
        alice,
        &decision(deployment, alice, &case.subject, DecisionKind::Reject),
    );
    let inputs = JobInputs {
        proposal: case.subject.envelope.clone(),
        decisions: vec![case.approval.clone()],
        order: Some(bench.order(case)),
    };
    bench.desk.decide(&deny).await?;
    Ok((case.subject.proposal.id.clone(), inputs))
}

/// Counts the effects in the source: one per proposal, one per contested row.
fn effects(checker: &Checker, findings: &mut Findings, work: &Work) -> anyhow::Result<i64> {
    let total = checker.number("SELECT COUNT(*) FROM effect_journal")?;
    if usize::try_from(total)? != work.alone.len() {
        findings.violated(
            "the journal",
            &format!("{total} effects of {} proposals", work.alone.len()),
        );
    }
    for case in &work.alone {
        let sql = format!(
            "SELECT COUNT(*) FROM effect_journal WHERE invoice = '{}' AND reason = '{}'",
            case.invoice, case.name
        );
        let noted = checker.number(&sql)?;
        findings.check(
            noted == 1,
            case,
            "journal does not contain it exactly once",
            &noted,
        );
    }
    Ok(total)
}

/// Compares the reports of all writers with each other and with the source. Returns the count of each result.
fn compare_reports(
    bench: &CrashHarness,
    findings: &mut Findings,
    work: &Work,
    reports: &BTreeMap<String, Vec<ReportedAttempt>>,
) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut tally = BTreeMap::new();
    for reported in reports.values().flatten() {
        *tally.entry(reported.report.result.to_string()).or_default() += 1;
    }
    let none = Vec::new();
    let reports_of = |case: &Case| reports.get(&case.proposal).unwrap_or(&none);
    for case in &work.alone {
        let outcome = agreed(bench, findings, case, reports_of(case))?;
        findings.check(
            outcome.as_deref() == Some("applied"),
            case,
            "it was not applied",
            &outcome,
        );
    }
    for rivals in &work.rivals {
        let mut winners = 0;
        for case in rivals {
            let outcome = agreed(bench, findings, case, reports_of(case))?;
            winners += usize::from(outcome.as_deref() == Some("applied"));
            let is_an_end = matches!(outcome.as_deref(), Some("applied" | "conflict"));
            findings.check(is_an_end, case, "rival neither succeeded nor failed", &outcome);
        }
        let target = bench.check_locked_target(&rivals[0])?;
        let is_one = winners == 1 && target.effects == 1;
        findings.check(
            is_one,
            &rivals[0],
            "number of successful rivals is not one",
            &(winners, target),
        );
    }
    Ok(tally)
}

/// Checks that all reports carry the receipt of the source and that at most one writer wrote. Returns its outcome.
fn agreed(
    bench: &CrashHarness,
    findings: &mut Findings,
    case: &Case,
    reports: &[ReportedAttempt],
) -> anyhow::Result<Option<String>> {
    let target = bench.check_locked_target(case)?;
    let is_same = |s: &ReportedAttempt| s.receipt.is_none() || s.receipt == target.receipt;
    findings.check(
        reports.iter().all(is_same),
        case,
        "a writer reported another receipt",
        &target,
    );
    let wrote = reports
        .iter()
        .filter(|s| s.report.result == AttemptResult::Applied);
    let wrote: Vec<_> = wrote.map(|s| &s.report).collect();
    findings.check(wrote.len() <= 1, case, "more than one writer wrote", &wrote);
    let is_known =
        |s: &ReportedAttempt| matches!(&s.report.result, AttemptResult::Retryable(_)) || s.receipt.is_some();
    let unexplained: Vec<_> = reports
        .iter()
        .filter(|s| !is_known(s))
        .map(|s| &s.report)
        .collect();
    findings.check(
        unexplained.is_empty(),
        case,
        "a writer reported neither a receipt nor a reason to wait",
        &unexplained,
    );
    Ok(target.outcome)
}
