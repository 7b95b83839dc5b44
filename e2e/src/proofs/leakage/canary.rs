//! Canaries: secret values, their possible encodings, and the scan for them.

use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use synapsor_chassis::random;

/// A secret and all strings that would disclose it.
#[derive(Debug)]
pub(super) struct Canary {
    pub(super) name: String,
    /// Strings of one character per byte, as [`scan`] compares them.
    needles: Vec<String>,
}

/// A random string that occurs nowhere else.
pub(super) fn text(kind: &str) -> String {
    format!("cnry{kind}{}", random::hex_id(24))
}

impl Canary {
    pub(super) fn of_text(name: &str, secret: &str) -> Self {
        let mut canary = Self {
            name: name.to_owned(),
            needles: Vec::new(),
        };
        canary.add(secret.as_bytes());
        canary
    }

    /// Private parts of keys in PEM files; the public part is not a secret.
    pub(super) fn of_keys(name: &str, files: &[std::path::PathBuf]) -> anyhow::Result<Self> {
        let mut canary = Self {
            name: name.to_owned(),
            needles: Vec::new(),
        };
        for file in files {
            let pem = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
            let der = STANDARD.decode(body.trim())?;
            // An Ed25519 key in PKCS#8: 16 bytes of header, then the seed.
            let seed = der.get(16..48).context("an Ed25519 key")?;
            canary
                .needles
                .push(body.get(24..60).context("a body")?.to_owned());
            canary.add(seed);
        }
        anyhow::ensure!(!canary.needles.is_empty(), "missing key for the canary {name}");
        Ok(canary)
    }

    fn add(&mut self, secret: &[u8]) {
        let hexed = hex::encode(secret);
        let per_byte = |prefix: &str, hexed: &str| -> String {
            hexed
                .as_bytes()
                .chunks(2)
                .map(|pair| format!("{prefix}{}", String::from_utf8_lossy(pair)))
                .collect()
        };
        let upper = hexed.to_uppercase();
        self.needles.extend([
            latin(secret),
            per_byte("%", &hexed),
            per_byte("%", &upper),
            per_byte("%25", &upper),
            per_byte("\\u00", &hexed),
            per_byte("\\u00", &upper),
            per_byte("\\x", &hexed),
            secret.iter().flat_map(|b| [char::from(*b), '\0']).collect(),
            hexed,
            upper,
        ]);
        for alignment in 0..3 {
            for engine in [&STANDARD, &URL_SAFE] {
                self.needles.push(aligned(secret, alignment, engine));
            }
        }
    }
}

/// Base64 of the secret inside a longer value: without the characters that depend on adjacent bytes.
fn aligned(secret: &[u8], alignment: usize, engine: &base64::engine::GeneralPurpose) -> String {
    let padded = [vec![0; alignment], secret.to_vec()].concat();
    let encoded = engine.encode(&padded);
    let begin = [0, 2, 3][alignment];
    let end = padded.len() * 8 / 6;
    encoded[begin..end].to_owned()
}

fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}

/// All output, each part with its origin.
#[derive(Debug, Default)]
pub(super) struct Capture {
    parts: Vec<(String, Vec<u8>)>,
}

/// Canary in the path of the source's URL.
pub(super) const URL_PATH: &str = "the URL's path";
/// The writer's own state file that records the file identity of each SQLite database.
const SEEN_FILES: &str = "/source-files.json";

impl Capture {
    pub(super) fn add(&mut self, from: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.parts.push((from.into(), bytes.into()));
    }

    /// Adds a file, or every file below a directory that `wanted` accepts.
    pub(super) fn add_files(&mut self, path: &Path, wanted: &dyn Fn(&Path) -> bool) -> anyhow::Result<()> {
        if !wanted(path) {
            return Ok(());
        }
        if path.is_dir() {
            for entry in std::fs::read_dir(path)? {
                self.add_files(&entry?.path(), wanted)?;
            }
        } else if let Ok(bytes) = std::fs::read(path) {
            self.add(path.display().to_string(), bytes);
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// Returns canary and location of every match.
    pub(super) fn scan(&self, canaries: &[Canary]) -> Vec<String> {
        let mut hits = Vec::new();
        for (from, bytes) in &self.parts {
            let hay = latin(bytes);
            for canary in canaries {
                let is_allowed = canary.name == URL_PATH && from.ends_with(SEEN_FILES);
                if !is_allowed && canary.needles.iter().any(|needle| hay.contains(needle.as_str())) {
                    hits.push(format!("{} in {from}", canary.name));
                }
            }
        }
        hits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_found_in_every_encoding() {
        let secret = text("test");
        let canary = [Canary::of_text("test", &secret)];
        let long = format!("x{secret}yz");
        let shapes = [
            long.clone(),
            hex::encode(&long),
            hex::encode_upper(&long),
            STANDARD.encode(&long),
            STANDARD.encode(format!("1{long}")),
            STANDARD.encode(format!("12{long}")),
            long.bytes().map(|b| format!("%{b:02x}")).collect(),
            long.bytes().map(|b| format!("\\u{b:04X}")).collect(),
        ];
        for shape in shapes {
            let mut capture = Capture::default();
            capture.add("a shape", shape.clone());
            assert_eq!(capture.scan(&canary), ["test in a shape"], "{shape}");
        }
        let mut capture = Capture::default();
        capture.add("another", text("test"));
        assert!(capture.scan(&canary).is_empty());
    }
}
