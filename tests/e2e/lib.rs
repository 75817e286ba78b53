//! Nothing: the package is its test binary, `main.rs`; cargo asks every package for a library or a program.
