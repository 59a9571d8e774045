//! The command `churnstream`.
fn main() {}
