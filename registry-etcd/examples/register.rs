//! Registers itself in etcd and stays until its standard input ends; then it says goodbye.
//!
//! ```sh
//! cargo run -p registry-etcd --example register -- 127.0.0.1:2379 demo.v1.Greeter 10.0.0.1:7000
//! etcdctl get --prefix /courier/services/
//! ```

use std::time::Duration;

use registry_etcd::EtcdRegistry;
use rpc_core::discovery::{Instance, Registry};
use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoints, service, address] = arguments.as_slice() else {
        return Err("usage: register ETCD[,ETCD…] SERVICE ADDRESS".into());
    };
    let registry = EtcdRegistry::builder(endpoints.split(',')).ttl(Duration::from_secs(2)).connect().await?;
    registry.register(service, Instance::new(address.parse()?)).await?;
    println!("registered");

    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    registry.close().await?;
    Ok(())
}
