//! Steps of every combination of the three clocks: two hours in either direction, and to 2038.

use synapsor_codes::ErrorCode;

use super::*;

const NOW: i64 = 1_800_000_000_000;
const HOURS_2: i64 = 2 * 3_600_000;
/// From [`NOW`] to 2038-01-19T03:14:08Z, one second past the end of 32-bit time.
const TO_2038: i64 = 2_147_483_648_000 - NOW;

/// Clocks that the test stepped, in the order writer, database, ledger.
type Stepped = [bool; 3];

const ALL: [Stepped; 8] = [
    [false, false, false],
    [true, false, false],
    [false, true, false],
    [false, false, true],
    [true, true, false],
    [true, false, true],
    [false, true, true],
    [true, true, true],
];

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

fn reading(now: i64, stepped: Stepped, by: i64) -> ClockReading {
    let clock = |is_stepped: bool| at(now + if is_stepped { by } else { 0 });
    ClockReading {
        writer: clock(stepped[0]),
        database: clock(stepped[1]),
        ledger: Some(clock(stepped[2])),
    }
}

/// Writer and database must agree; the mark rejects a step back of both without the ledger.
fn is_accepted(stepped: Stepped, by: i64) -> bool {
    let [writer, database, ledger] = stepped;
    writer == database && (!writer || ledger || by > 0)
}

#[test]
fn each_combination_of_stepped_clocks_follows_the_rule() {
    for by in [HOURS_2, -HOURS_2, TO_2038] {
        for stepped in ALL {
            let checked = reading(NOW + 10_000, stepped, by).check(Some(at(NOW)));
            assert_eq!(checked.is_ok(), is_accepted(stepped, by), "{stepped:?} by {by}");
            if let Err(refusal) = checked {
                assert_eq!(refusal.code, ErrorCode::RefusedClock);
            }
        }
    }
}

#[test]
fn clock_step_ends_when_clocks_are_corrected() {
    for by in [HOURS_2, -HOURS_2, TO_2038] {
        for stepped in ALL {
            let during = reading(NOW + 10_000, stepped, by);
            let mark = match during.check(Some(at(NOW))) {
                Ok(()) => during.next_mark(Some(at(NOW))),
                Err(_) => at(NOW),
            };
            let after = reading(NOW + 20_000, [false; 3], 0);
            assert!(after.check(Some(mark)).is_ok(), "{stepped:?} by {by}");
            let mark = after.next_mark(Some(mark));
            assert_eq!(mark, at(NOW + 20_000), "{stepped:?} by {by}");
        }
    }
}

#[test]
fn fewer_than_three_stepped_clocks_keep_the_mark() {
    for by in [HOURS_2, -HOURS_2, TO_2038] {
        for stepped in ALL.into_iter().filter(|s| *s != [true; 3]) {
            let during = reading(NOW + 10_000, stepped, by);
            if during.check(Some(at(NOW))).is_err() {
                continue;
            }
            let mark = during.next_mark(Some(at(NOW)));
            assert!(
                (at(NOW)..=at(NOW + 10_000)).contains(&mark),
                "{stepped:?} by {by}: {mark}"
            );
            // Accepted again even while the ledger claims no time.
            let alone = ClockReading {
                ledger: None,
                ..reading(NOW + 20_000, [false; 3], 0)
            };
            assert!(alone.check(Some(mark)).is_ok(), "{stepped:?} by {by}");
        }
    }
}

#[test]
fn clock_tolerances_are_exact_to_the_millisecond() {
    let millis = |seconds: i64| seconds * 1_000;
    let two = |database: i64, ledger: Option<i64>| ClockReading {
        writer: at(NOW),
        database: at(NOW + database),
        ledger: ledger.map(|by| at(NOW + by)),
    };
    let skew = millis(DATABASE_SKEW_SECONDS);
    for by in [skew, -skew] {
        assert!(two(by, None).check(None).is_ok());
        assert!(two(by + by.signum(), None).check(None).is_err());
        assert!(two(0, Some(by)).is_confirmed());
        assert!(!two(0, Some(by + by.signum())).is_confirmed());
    }
    let back = millis(CLOCK_SKEW_SECONDS);
    assert!(two(0, None).check(Some(at(NOW + back))).is_ok());
    assert!(two(0, None).check(Some(at(NOW + back + 1))).is_err());
    assert!(two(0, Some(0)).check(Some(at(NOW + back + 1))).is_ok());
}

#[test]
fn deadlines_use_later_of_writer_and_database() {
    let late = ClockReading {
        writer: at(NOW),
        database: at(NOW + 90_000),
        ledger: Some(at(NOW + HOURS_2)),
    };
    assert_eq!(late.deadline_time(), at(NOW + 90_000));
    let early = ClockReading {
        database: at(NOW - 90_000),
        ..late
    };
    assert_eq!(early.deadline_time(), at(NOW));
}
