// Part of the build scripts of the crates whose binaries or tests link libxgboost.

/// Writes two places to look for libxgboost into this crate's executables: where `make install` puts it, seen from the
/// executable, and where the build found it. A link argument holds only for the package whose build script prints it, hence one
/// call in each package.
///
/// # Panics
/// If the library is not there, with what to do about it.
#[allow(clippy::expect_used)] // how a build script reports
fn link_with_rpath() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=XGBOOST_LIB_DIR");
    let lib = std::env::var("XGBOOST_LIB_DIR").expect("XGBOOST_LIB_DIR is not set: .cargo/config.toml sets it");
    let library = std::path::Path::new(&lib).join("libxgboost.so");
    println!("cargo::rerun-if-changed={}", library.display());
    assert!(library.exists(), "{} is missing: run scripts/setup (or make) first", library.display());
    println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib/churnstream/xgboost/lib");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
}
