//! A binary that embeds the panel is built anew when the panel was.

fn main() {
    // A debug build reads the files when they are asked for.
    let embeds = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    println!("cargo::rerun-if-changed={}", if embeds { "panel/dist" } else { "build.rs" });
}
