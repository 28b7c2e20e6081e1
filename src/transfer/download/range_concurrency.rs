//! How many ranges of one object come at a time: few where the network is swift, as many as there is room for where it is not.

use std::time::Duration;

/// At the least, and at the start. The first is hashed as it comes, the second is there for when the first one's connection or
/// disk has to be waited for.
const FEWEST: usize = 2;
/// How many more may have come and wait for the disk or their turn.
const WRITTEN_BEHIND: usize = 1;
/// A range that comes in less, 8 MiB at 260 MB/s, shows a network that is faster than what is done with the bytes: more at a
/// time would only grow cold in memory. S3 gives a connection about 90 MB/s (its guide "Performance design patterns").
const FAST: Duration = Duration::from_millis(32);

/// The ranges that are coming, and how many may.
#[derive(Debug)]
pub(super) struct RangeConcurrency {
    coming: usize,
    most: usize,
}

impl Default for RangeConcurrency {
    fn default() -> Self {
        Self { coming: 0, most: FEWEST }
    }
}

impl RangeConcurrency {
    /// Whether one more may be asked for beside those that have come or are coming and are not all written.
    pub(super) const fn allow_another(&self, under_way: usize) -> bool {
        self.coming < self.most && under_way < self.most + WRITTEN_BEHIND
    }

    /// A range was requested.
    pub(super) const fn started(&mut self) {
        self.coming += 1;
    }

    /// A range has arrived, in this time.
    pub(super) fn finished(&mut self, took: Duration) {
        self.coming -= 1;
        self.most = if took < FAST { FEWEST.max(self.most - 1) } else { self.most + 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for all that may be asked for; how many are coming then.
    fn fill(ranges: &mut RangeConcurrency) -> usize {
        while ranges.allow_another(ranges.coming) {
            ranges.started();
        }
        ranges.coming
    }

    #[test]
    fn a_slow_network_gets_one_more_with_each_range_and_a_swift_one_gets_fewer_again() {
        let mut ranges = RangeConcurrency::default();
        assert_eq!(fill(&mut ranges), 2);
        for expected in 3..10 {
            ranges.finished(FAST);
            assert_eq!(fill(&mut ranges), expected);
        }
        for expected in [8, 7, 6, 5, 4, 3, 2, 2, 2] {
            ranges.finished(FAST / 2);
            assert_eq!(fill(&mut ranges), expected);
        }
    }

    #[test]
    fn what_has_come_and_is_not_written_holds_up_more() {
        let mut ranges = RangeConcurrency::default();
        fill(&mut ranges);
        ranges.finished(Duration::ZERO);
        assert!(ranges.allow_another(2), "one waits for the disk, one is coming");
        assert!(!ranges.allow_another(3), "two wait for the disk");
    }
}
