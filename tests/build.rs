//! Makes traits of the `.proto` file that the module `generated` uses.

fn main() -> Result<(), rpc_codegen::Error> {
    rpc_codegen::compile(&["proto/depot/v1/depot.proto"], &["proto"])
}
