//! What `#[message]` says to those who use it wrongly: one mistake a file, and what is said beside it.

#[test]
fn mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/message/*.rs");
}
