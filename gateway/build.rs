//! Makes Cargo rebuild a binary with an embedded panel when the panel was rebuilt.

fn main() {
    // A debug build reads the files at run time.
    let embeds = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    println!("cargo::rerun-if-changed={}", if embeds { "panel/dist" } else { "build.rs" });
}
