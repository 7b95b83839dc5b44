//! The stored tree as an attacker with the ledger key uses it: read for proofs, and rebuilt over forged events.

use anyhow::Context as _;
use rusqlite::{Connection, params};
use synapsor_domain::log::{ConsistencyProof, sign_checkpoint};
use synapsor_domain::signing::SigningKey;
use tlog_tiles::tlog::{self, Hash, HashReader};

use super::stored_log::StoredLog;

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
        let mut query = store.prepare("SELECT nodes FROM checkpoints ORDER BY size")?;
        let batches = query.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        let bytes = batches.collect::<Result<Vec<_>, _>>()?.concat();
        let nodes = bytes.chunks(32).map(|node| Ok(Hash(node.try_into()?)));
        Ok(Self(nodes.collect::<anyhow::Result<_>>()?))
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

/// Rebuilds the tree from the current events and signs every checkpoint again; there are `size` events.
pub(super) fn rebuild(store: &Connection, size: u64, origin: &str, key: &SigningKey) -> anyhow::Result<()> {
    let mut nodes = Nodes(Vec::new());
    for (seq, entry) in (0..size).zip(StoredLog::read(store)?.entries) {
        let leaf = tlog::record_hash(&entry.event);
        let more = tlog::stored_hashes_for_record_hash(seq, leaf, &nodes)
            .ok()
            .context("complete tree")?;
        nodes.0.extend(more);
    }
    let mut sizes: Vec<i64> = store
        .prepare("SELECT size FROM checkpoints ORDER BY size")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    sizes.push(i64::try_from(size)?);
    sizes.dedup();
    store.execute("DELETE FROM checkpoints", [])?;
    let mut before = 0;
    for size in sizes {
        let size = u64::try_from(size)?;
        sign(store, &nodes, (before, size), origin, key)?;
        before = size;
    }
    Ok(())
}

/// Signs the tree of `size` events, and stores the checkpoint with its nodes after `before` events.
fn sign(
    store: &Connection,
    nodes: &Nodes,
    (before, size): (u64, u64),
    origin: &str,
    key: &SigningKey,
) -> anyhow::Result<()> {
    let root = tlog::tree_hash(size, nodes).ok().context("complete tree")?.0;
    let note = sign_checkpoint(origin, size, &root, key)?;
    let index = |size| usize::try_from(tlog::stored_hash_count(size));
    let created = &nodes.0[index(before)?..index(size)?];
    store.execute(
        "INSERT INTO checkpoints (size, root, note, nodes) VALUES (?1, ?2, ?3, ?4)",
        params![
            i64::try_from(size)?,
            root,
            note,
            created.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>()
        ],
    )?;
    Ok(())
}
