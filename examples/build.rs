//! Makes a trait of a `.proto` file, for the programs `route_guide` and `two_doors`. Nothing needs to be installed for it.

fn main() -> Result<(), rpc_codegen::Error> {
    rpc_codegen::compile(&["../proto/route/v1/route_guide.proto"], &["../proto"])
}
