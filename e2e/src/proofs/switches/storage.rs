//! State directory that cannot be written: read-only, or on a full disk. A refused command is not reported as done
//! when it is repeated. A stop holds immediately, and a stop that was reported as done holds after a restart.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::ensure;
use synapsor_chassis::files;
use synapsor_proto::executor::v1::RejectEffect;

use super::locks::ReceiptLock;
use super::scene::Scene;
use super::storage_script;
use crate::namespaces;
use crate::process::Process;
use crate::proofs::findings::Findings;
use crate::proofs::proof_env::ProofEnv;
use crate::stack::{self, WRITER};

const LIMIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// Fault of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    ReadOnly,
    Full,
}

impl Damage {
    const ALL: [Self; 2] = [Self::ReadOnly, Self::Full];

    const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::Full => "full",
        }
    }
}

/// Returns the number of cells; `None` without mount namespaces.
pub(super) async fn run(ground: &ProofEnv, findings: &mut Findings) -> anyhow::Result<Option<usize>> {
    if let Err(reason) = namespaces::try_mount() {
        namespaces::missing("state directories that cannot be written", &reason)?;
        return Ok(None);
    }
    for damage in Damage::ALL {
        freeze(ground, findings, damage).await?;
        reject(ground, findings, damage).await?;
    }
    Ok(Some(2 * Damage::ALL.len()))
}

async fn freeze(ground: &ProofEnv, findings: &mut Findings, damage: Damage) -> anyhow::Result<()> {
    let name = format!("freeze on a {} directory", damage.name());
    let mut scene = Scene::new(ground).await?;
    let disk = Disk::prepare(&scene, damage)?;
    let writer = disk.writer(&scene)?;
    let case = scene.approved(&name).await?;
    disk.break_it()?;
    let [first, second] = [scene.commands.freeze(&writer)?, scene.commands.freeze(&writer)?];
    if first.exit != Some(0) && second.exit == Some(0) {
        findings.violated(
            &name,
            &format!("refused, and done the second time: {first}\n{second}"),
        );
    }
    scene
        .stays_untouched(findings, &[&case], "applied although a freeze was asked for")
        .await?;
    if scene.is_healthy(&writer).await? {
        findings.violated(&name, "writer reports itself as healthy");
    }
    drop(writer);
    disk.keep()?;
    let writer = scene.bench.writer(WRITER)?;
    if [&first, &second].iter().any(|ran| ran.exit == Some(0)) {
        let why = "applied after a restart, although the freeze was reported as done";
        scene.stays_untouched(findings, &[&case], why).await?;
    }
    drop(writer);
    Ok(())
}

async fn reject(ground: &ProofEnv, findings: &mut Findings, damage: Damage) -> anyhow::Result<()> {
    let name = format!("reject on a {} directory", damage.name());
    let mut scene = Scene::new(ground).await?;
    let disk = Disk::prepare(&scene, damage)?;
    let writer = disk.writer(&scene)?;
    let case = scene.approved(&name).await?;
    disk.break_it()?;
    // If the source database accepts no tombstone, the directory is the only storage.
    let lock = ReceiptLock::take(ground, &scene.bench.stack.deployment)?;
    let first = scene.reject_at(&writer, &case).await;
    let second = scene.reject_at(&writer, &case).await;
    lock.end()?;
    if first.is_err() && second.is_ok() {
        findings.violated(
            &name,
            &format!("refused with {first:?}, and {second:?} the second time"),
        );
    }
    scene
        .stays_untouched(findings, &[&case], "applied although it was rejected")
        .await?;
    if scene.is_healthy(&writer).await? {
        findings.violated(&name, "writer reports itself as healthy");
    }
    drop(writer);
    disk.keep()?;
    let writer = scene.bench.writer(WRITER)?;
    let is_done = |answer: &Result<RejectEffect, String>| answer.is_ok();
    if is_done(&first) || is_done(&second) {
        let why = "applied after a restart, although the rejection was reported as taken";
        scene.stays_untouched(findings, &[&case], why).await?;
    }
    drop(writer);
    Ok(())
}

/// Separate file system over the writer's state directory.
struct Disk {
    state: PathBuf,
    /// Directory of the files that signal to and from the script.
    signals: PathBuf,
    damage: Damage,
}

impl Disk {
    fn prepare(scene: &Scene, damage: Damage) -> anyhow::Result<Self> {
        let deployment = &scene.bench.stack.deployment;
        let this = Self {
            state: deployment.path("writer-state"),
            signals: deployment.path("disk"),
            damage,
        };
        files::create_private_dir(&this.signals)?;
        Ok(this)
    }

    /// Starts the writer inside; the script executes the writer, so that both have the same pid.
    fn writer(&self, scene: &Scene) -> anyhow::Result<Process> {
        let text = |path: &Path| path.display().to_string();
        let mut prefix = namespaces::unshare_mounts();
        prefix.extend(["/bin/sh", "-c", storage_script::TEXT, "sh"].map(str::to_owned));
        prefix.extend([
            text(&self.state),
            text(&self.signals),
            self.damage.name().to_owned(),
        ]);
        stack::wrapped_writer(
            &scene.bench.stack.deployment,
            &scene.bench.stack.ledger.address,
            (WRITER, &prefix),
            &[],
        )
    }

    fn break_it(&self) -> anyhow::Result<()> {
        std::fs::write(self.signals.join("break"), "")?;
        self.wait_for("break.done")
    }

    /// Copies the files of the exited writer to the real state directory.
    fn keep(&self) -> anyhow::Result<()> {
        self.wait_for("ended")?;
        copy_all(&self.signals.join("kept"), &self.state)
    }

    fn wait_for(&self, name: &str) -> anyhow::Result<()> {
        let until = Instant::now() + LIMIT;
        while !self.signals.join(name).exists() {
            ensure!(
                Instant::now() < until,
                "{name}: condition not met within {LIMIT:?}"
            );
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

/// Copies the files of a directory and of its subdirectories.
fn copy_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let (entry, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let target = to.join(&name);
        if !entry.is_dir() {
            std::fs::copy(&entry, &target)?;
            continue;
        }
        if !target.exists() {
            files::create_private_dir(&target)?;
        }
        copy_all(&entry, &target)?;
    }
    Ok(())
}
