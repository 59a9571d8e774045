//! Scaling policies, placement of partitions, and the decision log.
