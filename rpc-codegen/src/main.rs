//! The command `rpc-codegen`: the same as the library, into a folder, for people who check generated code in.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    let done = match cli::parse(std::env::args().skip(1)) {
        Ok(cli::Wish::Help) => {
            print!("{}", cli::HELP);
            Ok(())
        }
        Ok(cli::Wish::Version) => {
            println!("rpc-codegen {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Ok(cli::Wish::Generate(arguments)) => cli::run(*arguments),
        Err(misuse) => {
            eprintln!("rpc-codegen: {misuse}\nTry `rpc-codegen --help`.");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
