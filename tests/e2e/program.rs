//! The first program of the design, word for word, in a crate outside of the workspace.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

const PROGRAM: &str = r#"use std::time::Duration;
use rpc_core::{service, Server, Status};

#[service]
pub trait Greeter {
    /// Says hello.
    async fn hello(&self, name: String) -> Result<String, Status>;
}

struct English;

impl Greeter for English {
    async fn hello(&self, name: String) -> Result<String, Status> {
        Ok(format!("hello, {name}"))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().service(GreeterServer::new(English)).bind("127.0.0.1:0").await?;
    let greeter = GreeterClient::connect(server.local_addr()).await?;

    println!("{}", greeter.hello("world".into()).await?);

    server.drain(Duration::from_secs(5)).await;
    Ok(())
}
"#;

#[test]
fn the_first_program_runs_with_two_dependencies_and_without_a_warning() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("src")).unwrap();
    fs::write(dir.path().join("src/main.rs"), format!("#![deny(warnings)]\n{PROGRAM}")).unwrap();
    let core = workspace.join("rpc-core");
    let manifest = format!(
        "[package]\nname = \"first\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         rpc-core = {{ path = {core:?} }}\ntokio = {{ version = \"1\", features = [\"full\"] }}\n"
    );
    fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
    // The versions that the workspace has: what is here already is enough, and nothing is asked of the network.
    fs::copy(workspace.join("Cargo.lock"), dir.path().join("Cargo.lock")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline"])
        .current_dir(dir.path())
        // Kept between runs, beside what the workspace builds.
        .env("CARGO_TARGET_DIR", workspace.join("target/first-program"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    assert_eq!(out, "hello, world\n", "{err}");
}
