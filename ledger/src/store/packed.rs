//! Several byte strings in one value: their number, the end of each, and the strings themselves. Numbers are
//! 32-bit, little-endian.

/// Bytes of one number.
const NUMBER: usize = size_of::<u32>();

/// Packs the items.
///
/// # Panics
/// When the items exceed 4 GiB.
pub fn pack<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut ends, mut data) = (Vec::new(), Vec::new());
    for item in items {
        data.extend_from_slice(item);
        ends.extend(number(data.len()));
    }
    let mut packed = Vec::with_capacity(NUMBER + ends.len() + data.len());
    packed.extend(number(ends.len() / NUMBER));
    packed.extend(ends);
    packed.extend(data);
    packed
}

/// Returns all items, or `None` for bytes that [`pack`] does not produce.
pub fn unpack(packed: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, _, data) = parts(packed)?;
    let items: Vec<_> = (0..count)
        .map(|index| item(packed, index))
        .collect::<Option<_>>()?;
    let is_whole = items.iter().map(|item| item.len()).sum::<usize>() == data.len();
    is_whole.then_some(items)
}

/// Returns one item without reading the others.
pub fn item(packed: &[u8], index: usize) -> Option<&[u8]> {
    let (count, ends, data) = parts(packed)?;
    let end = |index: usize| read_number(ends.get(index * NUMBER..)?);
    let from = index.checked_sub(1).map_or(Some(0), end)?;
    (index < count).then(|| data.get(from..end(index)?)).flatten()
}

/// Splits a packed value into the number of items, their ends, and their bytes.
fn parts(packed: &[u8]) -> Option<(usize, &[u8], &[u8])> {
    let count = read_number(packed)?;
    let rest = packed.get(NUMBER..)?;
    let (ends, data) = rest.split_at_checked(count.checked_mul(NUMBER)?)?;
    Some((count, ends, data))
}

fn number(value: usize) -> [u8; NUMBER] {
    u32::try_from(value)
        .expect("the limits of a batch keep a block far below 4 GiB")
        .to_le_bytes()
}

fn read_number(bytes: &[u8]) -> Option<usize> {
    let bytes = bytes.first_chunk::<NUMBER>()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_items_are_unpacked_alone_and_together() {
        let items: [&[u8]; 4] = [b"one", b"", b"three", b"4"];
        let packed = pack(items);
        assert_eq!(unpack(&packed).unwrap(), items);
        for (index, expected) in items.into_iter().enumerate() {
            assert_eq!(item(&packed, index), Some(expected));
        }
        assert_eq!(item(&packed, 4), None);
        assert_eq!(unpack(&pack([])), Some(Vec::new()));
    }

    #[test]
    fn other_bytes_are_not_unpacked() {
        let packed = pack([b"one".as_slice(), b"two"]);
        for cut in 0..packed.len() {
            assert_eq!(unpack(&packed[..cut]), None, "{cut} bytes");
        }
        assert_eq!(unpack(&[packed.as_slice(), b"x"].concat()), None);
        // An end before the one of the item before it.
        let mut turned = packed.clone();
        turned[2 * NUMBER] = 1;
        assert_eq!(unpack(&turned), None);
        assert_eq!(unpack(&[0xff; 16]), None);
    }
}
