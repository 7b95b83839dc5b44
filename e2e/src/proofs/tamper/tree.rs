//! The stored tree as an attacker with the ledger key uses it: read for proofs, and rebuilt over forged events.

use anyhow::Context as _;
use rusqlite::{Connection, params};
use synapsor_domain::log::{ConsistencyProof, sign_checkpoint};
use synapsor_domain::signing::SigningKey;
use tlog_tiles::tlog::{self, Hash, HashReader};

/// Every stored node.
pub(super) struct Nodes(Vec<Hash>);

impl HashReader for Nodes {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        let node = |index: &u64| usize::try_from(*index).ok().and_then(|i| self.0.get(i)).copied();
        indexes
            .iter()
            .map(|index| node(index).ok_or(tlog::Error::IndexesNotInTree))
            .collect()
    }
}

impl Nodes {
    pub(super) fn read(store: &Connection) -> anyhow::Result<Self> {
        let mut query = store.prepare("SELECT hash FROM nodes ORDER BY idx")?;
        let nodes = query.query_map([], |row| row.get(0).map(Hash))?;
        Ok(Self(nodes.collect::<Result<_, _>>()?))
    }

    /// The ledger's consistency proof for these sizes, or the best one that these nodes allow.
    pub(super) fn consistency(&self, old: u64, new: u64) -> anyhow::Result<ConsistencyProof> {
        let path = tlog::prove_tree(new, old, self).map_err(|_| anyhow::anyhow!("proof does not exist"))?;
        Ok(ConsistencyProof::new(
            old,
            new,
            path.into_iter().map(|hash| hash.0).collect(),
        )?)
    }
}

/// Rebuilds leaves and tree from the current events and signs every checkpoint again; there are `size` events.
pub(super) fn rebuild(store: &Connection, size: u64, origin: &str, key: &SigningKey) -> anyhow::Result<()> {
    let mut nodes = Nodes(Vec::new());
    for seq in 0..size {
        let place = i64::try_from(seq)?;
        let bytes: Vec<u8> = store.query_row("SELECT bytes FROM events WHERE seq = ?1", [place], |row| {
            row.get(0)
        })?;
        let leaf = tlog::record_hash(&bytes);
        store.execute(
            "UPDATE events SET leaf = ?2 WHERE seq = ?1",
            params![place, leaf.0],
        )?;
        let more = tlog::stored_hashes_for_record_hash(seq, leaf, &nodes)
            .ok()
            .context("complete tree")?;
        nodes.0.extend(more);
    }
    store.execute("DELETE FROM nodes", [])?;
    for (index, hash) in nodes.0.iter().enumerate() {
        store.execute(
            "INSERT INTO nodes (idx, hash) VALUES (?1, ?2)",
            params![i64::try_from(index)?, hash.0],
        )?;
    }
    let sizes: Vec<i64> = store
        .prepare("SELECT size FROM checkpoints WHERE size > 0 ORDER BY size")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for size in sizes {
        sign(store, &nodes, u64::try_from(size)?, origin, key)?;
    }
    sign(store, &nodes, size, origin, key)
}

fn sign(store: &Connection, nodes: &Nodes, size: u64, origin: &str, key: &SigningKey) -> anyhow::Result<()> {
    let root = tlog::tree_hash(size, nodes).ok().context("complete tree")?.0;
    let note = sign_checkpoint(origin, size, &root, key)?;
    store.execute(
        "INSERT INTO checkpoints (size, root, note) VALUES (?1, ?2, ?3) \
         ON CONFLICT (size) DO UPDATE SET root = excluded.root, note = excluded.note",
        params![i64::try_from(size)?, root, note],
    )?;
    Ok(())
}
