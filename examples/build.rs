//! Makes traits of the `.proto` files that `route_guide`, `two_doors` and `shop` use. Nothing needs to be installed for it.

fn main() -> Result<(), rpc_codegen::Error> {
    let protos = [
        "../proto/route/v1/route_guide.proto",
        "../proto/shop/v1/stock.proto",
        "../proto/shop/v1/users.proto",
    ];
    rpc_codegen::compile(&protos, &["../proto"])
}
