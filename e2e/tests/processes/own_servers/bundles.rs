//! Files of authorities as providers publish them, for every process that opens a database.

use anyhow::ensure;
use serde_json::json;
use synapsor_chassis::files;
use synapsor_e2e::cli::CliFixture;
use synapsor_source::error_cause::{CertificatesProblem, ErrorCause};

use super::authority::Authority;
use super::scene::{Scene, with_detail};

/// More authorities than any provider publishes, so that the file is larger than 64 KiB.
const AUTHORITIES: usize = 150;

fn write(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> anyhow::Result<String> {
    let path = folder.path().join(name);
    files::write_atomic(&path, bytes, files::MODE_PUBLIC)?;
    Ok(path.display().to_string())
}

pub(crate) async fn bundle_of_many_authorities_is_read(scene: &Scene) -> anyhow::Result<()> {
    let ssl = json!({ "mode": "verify-full", "ca_env": "DB_CA" });
    let folder = tempfile::tempdir()?;
    let others = Authority::new("another authority")?.pem.repeat(AUTHORITIES);
    let own = &scene.authority.pem;
    let with_text = [
        b"# R\xe9gion\r\n".as_slice(),
        others.as_bytes(),
        own.replace('\n', "\r\n").as_bytes(),
    ]
    .concat();
    ensure!(with_text.len() > 64 * 1024, "the bundle is small");
    for (name, bytes) in [
        ("with-text.pem", with_text),
        ("with-mark.pem", ["\u{feff}", own].concat().into_bytes()),
        ("own-first.pem", [own.as_str(), &others].concat().into_bytes()),
    ] {
        let file = write(&folder, name, &bytes)?;
        let engine = scene.reader(ssl.clone(), &scene.roles.read_url, &[("DB_CA_FILE", &file)])?;
        let read = engine.read(&scene.plan()).await.map_err(with_detail)?;
        ensure!(read.rows.len() == 1, "{name}");
    }
    Ok(())
}

pub(crate) async fn unusable_bundle_is_named_by_its_variable(scene: &Scene) -> anyhow::Result<()> {
    let ssl = json!({ "mode": "verify-full", "ca_env": "DB_CA" });
    let folder = tempfile::tempdir()?;
    let good = write(&folder, "ca.pem", scene.authority.pem.as_bytes())?;
    for (bytes, problem) in [
        (vec![b'#'; 1024 * 1024 + 1], CertificatesProblem::TooLarge),
        (vec![0x30, 0x82, 0x01, 0x0a], CertificatesProblem::NotPem),
        (b"PEM follows".to_vec(), CertificatesProblem::NotPem),
    ] {
        let engine = scene.reader(ssl.clone(), &scene.roles.read_url, &[("DB_CA_FILE", &good)])?;
        engine.identity().await.map_err(with_detail)?;
        let file = write(&folder, "bad.pem", &bytes)?;
        let failed = scene.reader(ssl.clone(), &scene.roles.read_url, &[("DB_CA_FILE", &file)]);
        let shown = failed.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(
            shown.contains("DB_CA") && shown.contains(&problem.to_string()),
            "{problem:?}: {shown}"
        );
    }
    let stranger = Authority::new("another authority")?;
    let engine = scene.reader(ssl, &scene.roles.read_url, &[("DB_CA", &stranger.pem)])?;
    let error = engine.identity().await.err();
    let cause = error.map(|error| error.cause);
    ensure!(cause == Some(ErrorCause::CertificateNotTrusted), "{cause:?}");
    Ok(())
}

pub(crate) async fn inspection_takes_an_authority(scene: &Scene) -> anyhow::Result<()> {
    let mut place = CliFixture::empty()?;
    place.set(
        "DB",
        &format!("{}?{}", scene.roles.read_url, scene.verify_parameter()),
    );
    place.set("AUTHORITY", &scene.authority.pem);
    let inspect = ["inspect", "--from-env", "DB", "--schema", scene.database.schema()];
    tokio::task::block_in_place(|| {
        let ran = place.run(&inspect)?;
        ran.expect_failure(6, "SOURCE_TLS_FAILED", &["DB", "ca_env"])?;
        let found = place.json(&[&inspect[..], &["--ssl-ca-env", "AUTHORITY"]].concat())?;
        ensure!(
            found["tables"]
                .as_array()
                .is_some_and(|tables| !tables.is_empty()),
            "{found}"
        );
        place
            .run(&[&inspect[..], &["--ssl-ca-env", "MISSING"]].concat())?
            .expect_failure(6, "SOURCE_TLS_FAILED", &["MISSING"])
    })
}
