//! Makes Rust of the `.proto` files that examples use; nothing needs to be installed for it.

fn main() -> Result<(), rpc_codegen::Error> {
    let protos = ["../proto/shop/v1/stock.proto", "../proto/shop/v1/users.proto"];
    rpc_codegen::compile(&protos, &["../proto"])
}
