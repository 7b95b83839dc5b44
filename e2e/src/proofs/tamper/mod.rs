//! Tamper proof: every edit of a value, every structural attack and every flipped byte of a ledger's store is
//! detected or changes no record. An unmodified store never causes a detection.

mod edits;
mod judge;
mod original;
mod process;
mod stored_log;
mod structural;
mod tree;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value as Json, json};

use super::{Plan, SeededRng};
use judge::TamperVerifier;
use original::Original;
use structural::Attack;

/// Number of cases of each kind.
struct Numbers {
    proposals: usize,
    edits: usize,
    structural: usize,
    bytes: usize,
    restarts: usize,
    /// Number of edits that the real process checks as well, then of its clean restarts.
    process_edits: usize,
    process_restarts: usize,
}

const FULL: Numbers = Numbers {
    proposals: 24,
    edits: 500,
    structural: 50,
    bytes: 500,
    restarts: 200,
    process_edits: 20,
    process_restarts: 5,
};
const SMALL: Numbers = Numbers {
    proposals: 12,
    edits: 50,
    structural: 10,
    bytes: 50,
    restarts: 10,
    process_edits: 3,
    process_restarts: 1,
};
const OLDER_COPIES: usize = 10;

/// Shared data of the cases.
struct Scene {
    original: Original,
    judge: TamperVerifier,
    records: Vec<String>,
    seed: u64,
}

/// One case: runs at a path, and fails on a violation.
type Case = fn(&Scene, usize, &Path) -> anyhow::Result<()>;

pub(super) async fn run(plan: Plan) -> anyhow::Result<Json> {
    let numbers = if plan.small { SMALL } else { FULL };
    let began = Instant::now();
    let original = Original::make(numbers.proposals, OLDER_COPIES).await?;
    let judge = TamperVerifier::new(&original)?;
    let records = judge::records(&original.file)?;
    println!(
        "tamper: {} events, {} records, {} s",
        original.events,
        records.len(),
        began.elapsed().as_secs()
    );
    let scene = Scene {
        original,
        judge,
        records,
        seed: plan.seed,
    };
    let parts: [(&str, usize, Case); 4] = [
        ("edits", numbers.edits, edited),
        ("structural", numbers.structural, attacked),
        ("byte_edits", numbers.bytes, flipped),
        ("clean_restarts", numbers.restarts, untouched),
    ];
    let mut summary = json!({ "proof": "tamper", "events": scene.original.events });
    let mut violations = 0;
    for (name, count, case) in parts {
        violations += all(&scene, name, count, case);
        println!("tamper: {count} {name}, {} s", began.elapsed().as_secs());
        summary[name] = json!(count);
    }
    violations += process::edits(&scene, numbers.process_edits).await?;
    violations += process::restarts(&scene, numbers.process_restarts).await?;
    println!(
        "tamper: the real process as well, {} s",
        began.elapsed().as_secs()
    );
    summary["process_edits"] = json!(numbers.process_edits);
    summary["process_restarts"] = json!(numbers.process_restarts);
    summary["violations"] = json!(violations);
    summary["skipped"] = json!([]);
    summary["seed"] = json!(plan.seed);
    Ok(summary)
}

/// Runs the cases of one part on all cores; returns the number of violations.
fn all(scene: &Scene, name: &str, count: usize, case: Case) -> usize {
    let (next, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            if number >= count {
                return;
            }
            let path = scene.original.deployment.path(&format!("{name}-{number}.db"));
            // A panic on malicious bytes is a violation as well.
            let held = catch_unwind(AssertUnwindSafe(|| case(scene, number, &path)));
            if let Err(error) = held.unwrap_or_else(|_| Err(anyhow::anyhow!("case panicked"))) {
                println!("VIOLATION {name} {number}: {error:#}");
                wrong.fetch_add(1, Ordering::SeqCst);
            }
            remove(&path);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    wrong.into_inner()
}

impl Scene {
    /// The same random numbers for the same case, independent of the thread.
    fn dice(&self, part: u64, number: usize) -> SeededRng {
        let mut dice = SeededRng::new(self.seed ^ (part << 48) ^ number as u64);
        dice.roll();
        dice
    }

    /// Makes one edit of a value on a copy at `path`.
    fn edit(&self, number: usize, path: &Path) -> anyhow::Result<String> {
        std::fs::copy(&self.original.file, path)?;
        let mut dice = self.dice(1, number);
        edits::attack(path, |store| edits::edit_one_value(store, &mut dice))
    }
}

fn edited(scene: &Scene, number: usize, path: &Path) -> anyhow::Result<()> {
    let what = scene.edit(number, path)?;
    match scene.judge.alarm(path) {
        Some(_) => Ok(()),
        None => bail!("not detected: {what}"),
    }
}

fn attacked(scene: &Scene, number: usize, path: &Path) -> anyhow::Result<()> {
    std::fs::copy(&scene.original.file, path)?;
    let attack = Attack::ALL[number % Attack::ALL.len()];
    let what = attack.carry_out(path, &scene.original, &scene.judge, &mut scene.dice(2, number))?;
    let alarm = scene
        .judge
        .alarm(path)
        .with_context(|| format!("not detected: {what}"))?;
    // A forgery that the store itself reveals is weaker than this proof requires.
    ensure!(
        attack.only().is_none_or(|by| by == alarm.by),
        "{what}: another check detected the forgery, {alarm:?}"
    );
    Ok(())
}

fn flipped(scene: &Scene, number: usize, path: &Path) -> anyhow::Result<()> {
    let mut dice = scene.dice(3, number);
    let mut bytes = std::fs::read(&scene.original.file)?;
    let at = dice.below(bytes.len());
    let mask = 1 + dice.below(255) as u8;
    bytes[at] ^= mask;
    std::fs::write(path, bytes)?;
    if scene.judge.alarm(path).is_some() {
        return Ok(());
    }
    let records = judge::records(path)
        .with_context(|| format!("byte {at} ^ {mask:#x}: store unreadable, but not detected"))?;
    ensure!(
        records == scene.records,
        "byte {at} ^ {mask:#x} changed a record, but not detected"
    );
    Ok(())
}

fn untouched(scene: &Scene, _number: usize, path: &Path) -> anyhow::Result<()> {
    std::fs::copy(&scene.original.file, path)?;
    match scene.judge.alarm(path) {
        None => Ok(()),
        Some(alarm) => bail!("false detection: {alarm:?}"),
    }
}

/// Removes a store and its side files.
fn remove(path: &Path) {
    for ending in ["", "-wal", "-shm", ".lock"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
}
