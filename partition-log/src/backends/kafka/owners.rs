//! Which partitions the members of a group have, by the group's own word.
//!
//! A rebalance takes partitions from one member, and a second one gives them to another. It is asked for by the member that gave them up.
//! If that one crashes in between and comes back under the same name before its session ends, the brokers give it what it still has by
//! the first, ask nobody, and nobody asks for the second: what was given up stays without an owner until something else happens.

use std::collections::BTreeSet;

use rdkafka::consumer::Consumer as _;
use types::PartitionId;

use super::group::KafkaGroup;
use super::settle::ANSWER;

impl KafkaGroup {
    /// The partitions of the topic that no member has although the group is at rest; `None` where that cannot be told now. Asks for some
    /// seconds at most.
    #[must_use]
    pub fn unowned(&self, group: &str, partitions: u32) -> Option<Vec<PartitionId>> {
        let known = self.asker.as_ref()?.fetch_group_list(Some(group), ANSWER).ok()?;
        let group = known.groups().iter().find(|known| known.name() == group)?;
        if group.state() != "Stable" {
            return None;
        }
        let mut owned = BTreeSet::new();
        for member in group.members() {
            owned.extend(assigned(member.assignment().unwrap_or_default(), &self.topic)?);
        }
        Some((0..partitions).map(PartitionId).filter(|partition| !owned.contains(partition)).collect())
    }
}

/// The partitions of a topic in an assignment of the consumers' protocol: version (i16), topics (i32 of them), each a name (i16 long) and
/// partitions (i32 of them, i32 each), and what the assignor adds. `None` if it is cut.
fn assigned(mut bytes: &[u8], topic: &str) -> Option<Vec<PartitionId>> {
    fn take<'b>(bytes: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
        let (front, rest) = bytes.split_at_checked(count)?;
        *bytes = rest;
        Some(front)
    }
    fn number(bytes: &mut &[u8]) -> Option<u32> {
        Some(u32::from_be_bytes(take(bytes, 4)?.try_into().ok()?))
    }
    // Nothing was assigned.
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    take(&mut bytes, 2)?;
    let mut found = Vec::new();
    for _ in 0..number(&mut bytes)? {
        let length = u16::from_be_bytes(take(&mut bytes, 2)?.try_into().ok()?);
        let is_it = take(&mut bytes, usize::from(length))? == topic.as_bytes();
        for _ in 0..number(&mut bytes)? {
            let partition = number(&mut bytes)?;
            if is_it {
                found.push(PartitionId(partition));
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read() {
        let topic = |name: &str, partitions: &[u32]| {
            let numbers = partitions.iter().flat_map(|partition| partition.to_be_bytes());
            let (length, count) = (name.len() as u16, partitions.len() as u32);
            let front = length.to_be_bytes().into_iter().chain(name.bytes()).chain(count.to_be_bytes());
            front.chain(numbers).collect::<Vec<u8>>()
        };
        let front = [0, 1, 0, 0, 0, 2];
        let all = [&front[..], &topic("others", &[0, 7]), &topic("events", &[3, 1]), &[0, 0, 0, 0]].concat();
        assert_eq!(assigned(&all, "events"), Some(vec![PartitionId(3), PartitionId(1)]));
        assert_eq!(assigned(&all, "event"), Some(Vec::new()));
        assert_eq!(assigned(&[], "events"), Some(Vec::new()));
        for cut in 1..all.len() - 4 {
            assert_eq!(assigned(&all[..cut], "events"), None, "{cut}");
        }
        // More is announced than there is.
        assert_eq!(assigned(&[0, 1, 255, 255, 255, 255], "events"), None);
    }
}
