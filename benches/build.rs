//! volo-thrift's code for the benchmark `peers`: its tool is written in Rust and needs nothing installed.

fn main() {
    println!("cargo::rerun-if-changed=src/peers/echo.thrift");
    #[cfg(feature = "peers")]
    if let Err(error) = volo_build::Builder::thrift().add_service("src/peers/echo.thrift").write() {
        println!("cargo::error=volo-build: {error}");
    }
}
