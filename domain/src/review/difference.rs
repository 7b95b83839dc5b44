//! Parts in which two texts differ. Part of the signed document: the result depends on nothing but the texts, and
//! the work on any texts is bounded.

use std::collections::HashMap;
use std::ops::Range;

/// Equal characters that end a part, if they follow soon.
const NEAR_CHARS: usize = 12;
/// Equal characters that end a part, if they follow anywhere.
const FAR_CHARS: usize = 32;
/// Maximum number of characters that the search for a near end skips in both texts together.
const NEAR_SKIP_MAX: usize = 400;
/// Maximum number of comparisons of the near searches of one pair of texts.
const NEAR_COMPARISONS_MAX: usize = 1_000_000;

/// A part in which two texts differ, as positions of characters from 0. One side may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub before: Range<usize>,
    pub after: Range<usize>,
}

/// Returns the parts in which the texts differ, in order. Everything between them is equal; a part may contain
/// equal characters too.
pub fn differences(before: &[char], after: &[char]) -> Vec<Difference> {
    let mut search = Search::new(before, after);
    let (mut parts, mut at) = (Vec::new(), Place { before: 0, after: 0 });
    loop {
        while at.before < search.end.before
            && at.after < search.end.after
            && before[at.before] == after[at.after]
        {
            at = at.plus(1, 1);
        }
        if at == search.end {
            return parts;
        }
        let next = search.next_equal(at);
        parts.push(Difference {
            before: at.before..next.before,
            after: at.after..next.after,
        });
        at = next;
    }
}

/// One position in each text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    before: usize,
    after: usize,
}

impl Place {
    const fn plus(self, before: usize, after: usize) -> Self {
        Self {
            before: self.before + before,
            after: self.after + after,
        }
    }
}

struct Search<'a> {
    before: &'a [char],
    after: &'a [char],
    /// Start of the equal end of both texts.
    end: Place,
    near_comparisons: usize,
    /// Positions of every run of [`FAR_CHARS`] characters of `after`; built when first needed.
    runs: Option<HashMap<&'a [char], Vec<usize>>>,
}

impl<'a> Search<'a> {
    fn new(before: &'a [char], after: &'a [char]) -> Self {
        let shorter = before.len().min(after.len());
        let start = before.iter().zip(after).take_while(|(b, a)| b == a).count();
        let end = before
            .iter()
            .rev()
            .zip(after.iter().rev())
            .take(shorter - start)
            .take_while(|(b, a)| b == a)
            .count();
        Self {
            before,
            after,
            end: Place {
                before: before.len() - end,
                after: after.len() - end,
            },
            near_comparisons: 0,
            runs: None,
        }
    }

    /// Returns the place behind the difference at `at`.
    fn next_equal(&mut self, at: Place) -> Place {
        if at.before == self.end.before || at.after == self.end.after {
            return self.end;
        }
        self.near(at).or_else(|| self.far(at)).unwrap_or(self.end)
    }

    /// Looks for the place that skips the fewest characters.
    fn near(&mut self, at: Place) -> Option<Place> {
        for skipped in 1..=NEAR_SKIP_MAX {
            for in_before in 0..=skipped {
                self.near_comparisons += 1;
                if self.near_comparisons >= NEAR_COMPARISONS_MAX {
                    return None;
                }
                let place = at.plus(in_before, skipped - in_before);
                let is_inside = place.before <= self.end.before && place.after <= self.end.after;
                if is_inside && self.is_equal_at(place) {
                    return Some(place);
                }
            }
        }
        None
    }

    fn is_equal_at(&mut self, place: Place) -> bool {
        let (before, after) = (&self.before[place.before..], &self.after[place.after..]);
        if before.len().min(after.len()) < NEAR_CHARS {
            return false;
        }
        let equal = before
            .iter()
            .zip(after)
            .take(NEAR_CHARS)
            .take_while(|(b, a)| b == a)
            .count();
        self.near_comparisons += equal;
        equal == NEAR_CHARS
    }

    /// Looks for the first long run of `before` that `after` has too.
    fn far(&mut self, at: Place) -> Option<Place> {
        let after = self.after;
        let runs = self.runs.get_or_insert_with(|| {
            let mut runs: HashMap<&[char], Vec<usize>> = HashMap::new();
            for (start, run) in after.windows(FAR_CHARS).enumerate() {
                runs.entry(run).or_default().push(start);
            }
            runs
        });
        for (skipped, run) in self.before[at.before..].windows(FAR_CHARS).enumerate() {
            let start = at.before + skipped;
            if start > self.end.before {
                return None;
            }
            let Some(starts) = runs.get(run) else { continue };
            let next = starts.partition_point(|start| *start < at.after);
            if let Some(found) = starts.get(next).filter(|found| **found <= self.end.after) {
                return Some(Place {
                    before: start,
                    after: *found,
                });
            }
        }
        None
    }
}
