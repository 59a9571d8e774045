//! Tells this crate's tests where libxgboost lies; `churnstream/build.rs` does the same for the command.

include!("rpath.rs");

fn main() {
    link_with_rpath();
}
