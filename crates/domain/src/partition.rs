//! Which share of the log a team belongs to.

use std::fmt;

use crate::{TeamId, limits::PARTITIONS_MAX};

/// A share of the teams, with a log of its own. Numbered from 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(u16);

impl Partition {
    /// The partition with this number. Numbers beyond a log's count name a partition that holds nothing.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The partition's number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many partitions a log has: 1 to [`PARTITIONS_MAX`], fixed when the log is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partitions(u16);

/// The count is not between 1 and [`PARTITIONS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a log has between 1 and {PARTITIONS_MAX} partitions")]
pub struct PartitionsError;

impl Partitions {
    /// One partition: the default.
    pub const ONE: Self = Self(1);

    /// A log of `count` partitions.
    pub const fn new(count: u16) -> Result<Self, PartitionsError> {
        if count == 0 || count > PARTITIONS_MAX { Err(PartitionsError) } else { Ok(Self(count)) }
    }

    /// How many there are.
    pub const fn count(self) -> u16 {
        self.0
    }

    /// The partition of `team`. Every process must agree on it for as long as the log lives, so the hash is written
    /// down here: FNV-1a, 64 bits (offset basis 0xcbf29ce484222325, prime 0x100000001b3), modulo the count.
    pub fn of(self, team: &TeamId) -> Partition {
        let hash = team
            .as_str()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        // The remainder is below the count, which is a u16.
        Partition(u16::try_from(hash % u64::from(self.0)).unwrap_or_default())
    }

    /// All partitions, ascending.
    pub fn iter(self) -> impl Iterator<Item = Partition> {
        (0..self.0).map(Partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_team_keeps_its_partition_forever() {
        let partitions = Partitions::new(7).unwrap();
        // Golden values: a change here would strand every existing team.
        let golden = [("a", 5), ("b", 0), ("general", 3)];
        for (team, number) in golden {
            assert_eq!(partitions.of(&TeamId::parse(team).unwrap()), Partition::new(number), "{team}");
        }
    }

    #[test]
    fn teams_spread_over_all_partitions() {
        let partitions = Partitions::new(4).unwrap();
        let mut counts = [0; 4];
        for number in 0..1_000 {
            let team = TeamId::parse(&number.to_string()).unwrap();
            counts[usize::from(partitions.of(&team).number())] += 1;
        }
        assert!(counts.iter().all(|&count| count > 150), "{counts:?}");
    }
}
