//! What the compiler says: `ui/pass` compiles and runs, each file of `ui/fail` and `ui/message` makes one mistake and is told how to
//! mend it.
//!
//! After a change of a message, `TRYBUILD=overwrite` writes the `.stderr` files anew; read them before committing.

#[test]
fn the_compiler_says_what_to_do() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
    cases.compile_fail("tests/ui/message/*.rs");
}
