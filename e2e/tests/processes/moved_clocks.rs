//! Local processes that run for days, and machines whose clocks differ: certificates are renewed, and errors name the
//! clocks.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use synapsor_e2e::cli::{CliFixture, INVOICE, Running};
use synapsor_e2e::faketime::SteppedClock;

const HOUR: i64 = 3_600;
/// The supervisor checks its certificates every ten seconds.
const RENEWED_WITHIN: Duration = Duration::from_secs(60);

/// A directory whose commands and processes share one clock. Returns `None` if the machine has no libfaketime.
fn scene() -> anyhow::Result<Option<(CliFixture, SteppedClock)>> {
    let mut place = CliFixture::new()?;
    let Some(clock) = SteppedClock::new(place.path("clock"))? else {
        return Ok(None);
    };
    place.set_clock(&clock.variables())?;
    Ok(Some((place, clock)))
}

fn up(place: &CliFixture) -> anyhow::Result<Running> {
    let mut up = place.start(&["up"])?;
    up.until_printed(Duration::from_secs(60), |printed| printed.contains("logs"))?;
    Ok(up)
}

/// Returns when the newest certificate of the directory was written.
fn renewed_at(place: &CliFixture) -> anyhow::Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for name in place
        .listing()?
        .iter()
        .filter(|name| name.contains("reader-") && name.ends_with(".pem"))
    {
        newest = newest.max(std::fs::metadata(place.path(name))?.modified()?);
    }
    ensure!(newest > SystemTime::UNIX_EPOCH, "no certificate of the reader");
    Ok(newest)
}

fn until(what: &str, mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let start = Instant::now();
    while !is_so()? {
        ensure!(
            start.elapsed() < RENEWED_WITHIN,
            "{what}: not within {RENEWED_WITHIN:?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

#[test]
fn local_processes_outlive_their_first_certificates() -> anyhow::Result<()> {
    let Some((place, clock)) = scene()? else {
        return Ok(());
    };
    let mut up = up(&place)?;
    let first = place.approved(INVOICE, "goodwill")?;
    let before = renewed_at(&place)?;
    clock.set(13 * HOUR)?;
    until(
        "the certificates are renewed",
        || Ok(renewed_at(&place)? > before),
    )?;
    // The first certificates have ended.
    clock.set(25 * HOUR)?;
    place.ok(&["proposals", "list"])?;
    place.ok(&["ledger", "verify"])?;
    let late = place.run(&["apply", &first])?;
    // The approval expired after a day.
    late.expect(4)?;
    ensure!(up.child.try_wait()?.is_none(), "`up` ended");
    Ok(())
}

#[test]
fn clock_jump_past_certificate_expiry_is_reported_and_repaired() -> anyhow::Result<()> {
    let Some((place, clock)) = scene()? else {
        return Ok(());
    };
    let mut up = up(&place)?;
    place.propose(INVOICE, "goodwill")?;
    clock.set(49 * HOUR)?;
    let mut named = None;
    until("commands work again", || {
        let ran = place.run(&["proposals", "list"])?;
        if ran.exit != Some(0) {
            named = Some(ran.stderr);
            return Ok(false);
        }
        Ok(true)
    })?;
    if let Some(text) = named {
        assert!(text.contains("certificate"), "{text}");
    }
    place.ok(&["ledger", "verify"])?;
    ensure!(up.child.try_wait()?.is_none(), "`up` ended");
    Ok(())
}

#[test]
fn wrong_clock_of_the_command_alone_is_reported() -> anyhow::Result<()> {
    let Some((mut place, _clock)) = scene()? else {
        return Ok(());
    };
    let _up = up(&place)?;
    let id = place.propose(INVOICE, "goodwill")?;
    let own = SteppedClock::new(place.path("own-clock"))?.context("libfaketime")?;
    for (name, value) in own.variables() {
        place.set(&name, &value);
    }
    own.set(90)?;
    let ran = place.run(&["proposals", "approve", &id, "--yes"])?;
    let text = ran.stdout + &ran.stderr;
    for part in [
        "refused:future",
        "the clock of the process that verified it shows",
        "the ledger at",
        "the clock of this machine shows",
    ] {
        assert!(text.contains(part), "{text}");
    }
    Ok(())
}
