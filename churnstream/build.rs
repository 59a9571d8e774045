//! Tells the command where libxgboost lies, so that it runs without LD_LIBRARY_PATH.

include!("../trainer/rpath.rs");

fn main() {
    println!("cargo::rerun-if-changed=../trainer/rpath.rs");
    link_with_rpath();
}
