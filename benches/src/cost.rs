//! What a user pays for what: the default client and server, with one layer or one option more.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use rpc_core::codec::Json;
use rpc_core::middleware::{
    CatchPanicLayer, ConcurrencyLimitLayer, RetryLayer, TimeoutLayer, TraceLayer, retry,
};
use rpc_core::{Channel, Context, Server};

use crate::Result;
use crate::courier::{Courier, EchoClient, Mode, channel, server};
use crate::peer::Visit;

/// A variant: its name, and what its figure is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// On the command line and in the table.
    pub name: &'static str,
    /// The variant that it adds to: the bare call, or one with a layer that does nothing, for the first layer on a side
    /// also pays for the box that all of them share.
    pub base: &'static str,
    /// Whether it is a built-in layer with nothing to do, of which a goal says what it may cost.
    pub layer: bool,
}

macro_rules! variants {
    ($($name:literal, $base:literal, $layer:literal => $mode:ident { $($body:tt)* })*) => {
        /// All of them.
        pub const VARIANTS: &[Variant] = &[$(Variant { name: $name, base: $base, layer: $layer }),*];

        /// Calls `visit` with the variant of this name, if there is one.
        pub fn with_variant<V: Visit>(name: &str, visit: V) -> Option<V::Output> {
            match name {
                $($name => Some(visit.visit::<Courier<$mode>>()),)*
                _ => None,
            }
        }

        $(
            #[doc = concat!("A call: `", $name, "`.")]
            #[derive(Clone, Copy, Debug)]
            pub struct $mode;
            impl Mode for $mode { $($body)* }
        )*
    };
}

/// A mode with a layer on the client.
macro_rules! client {
    ($layer:expr) => {
        fn channel(server: SocketAddr) -> Result<Channel> {
            Ok(channel(server).layer($layer).build()?)
        }
    };
}

/// A mode with a layer on the server.
macro_rules! server {
    ($layer:expr) => {
        async fn serve() -> Result<Server> {
            Ok(server().layer($layer).bind("127.0.0.1:0").await?)
        }
    };
}

/// A mode that calls in its own way.
macro_rules! call {
    (|$client:ident, $payload:ident| $call:expr) => {
        async fn call($client: &EchoClient, $payload: &Bytes) -> Result<usize> {
            Ok($call)
        }
    };
}

/// More time than any call takes.
const LONG: Duration = Duration::from_secs(60);

variants! {
    "client: a layer that does nothing", "courier", false => ClientNothing {
        client! { rpc_core::middleware::layer_fn(|service| service) }
    }
    "client: retry", "client: a layer that does nothing", true => ClientRetry {
        client! { RetryLayer::new(retry::Policy::default()) }
    }
    "client: timeout", "client: a layer that does nothing", true => ClientTimeout {
        client! { TimeoutLayer::new(LONG) }
    }
    "client: concurrency limit", "client: a layer that does nothing", true => ClientLimit {
        client! { ConcurrencyLimitLayer::new(1_000) }
    }
    "client: trace, nobody listens", "client: a layer that does nothing", true => ClientTrace {
        client! { TraceLayer::client() }
    }
    "client: catch panic", "client: a layer that does nothing", true => ClientCatch {
        client! { CatchPanicLayer::new() }
    }
    "server: a layer that does nothing", "courier", false => ServerNothing {
        server! { rpc_core::middleware::layer_fn(|service| service) }
    }
    "server: timeout", "server: a layer that does nothing", true => ServerTimeout {
        server! { TimeoutLayer::new(LONG) }
    }
    "server: concurrency limit", "server: a layer that does nothing", true => ServerLimit {
        server! { ConcurrencyLimitLayer::new(1_000) }
    }
    "server: trace, nobody listens", "server: a layer that does nothing", true => ServerTrace {
        server! { TraceLayer::server() }
    }
    "server: catch panic", "server: a layer that does nothing", true => ServerCatch {
        server! { CatchPanicLayer::new() }
    }
    ".timeout(…)", "courier", false => OptionTimeout {
        call! { |client, payload| client.echo(payload.clone()).timeout(LONG).await?.len() }
    }
    "no deadline at all", "courier", false => NoTimeout {
        fn channel(server: SocketAddr) -> Result<Channel> {
            Ok(channel(server).no_timeout().build()?)
        }
    }
    ".metadata(…), one entry", "courier", false => OptionMetadata {
        call! { |client, payload| client.echo(payload.clone()).metadata("tenant", "a").await?.len() }
    }
    ".codec::<Json>()", "courier", false => OptionJson {
        call! { |client, payload| client.echo(payload.clone()).codec::<Json>().await?.len() }
    }
    ".hash_key(…)", "courier", false => OptionHashKey {
        call! { |client, payload| client.echo(payload.clone()).hash_key(7).await?.len() }
    }
    ".wait_for_ready()", "courier", false => OptionWait {
        call! { |client, payload| client.echo(payload.clone()).wait_for_ready().await?.len() }
    }
    ".reply()", "courier", false => OptionReply {
        call! { |client, payload| client.echo(payload.clone()).reply().await?.value.len() }
    }
    ".start()", "courier", false => OptionStart {
        call! { |client, payload| client.echo(payload.clone()).start().await?.len() }
    }
    "in a context with a value", "courier", false => ContextValue {
        call! { |client, payload| {
            let context = Context::current().with_value(7_u64);
            context.scope(async { client.echo(payload.clone()).await }).await?.len()
        } }
    }
    "in a context with a timeout", "courier", false => ContextTimeout {
        call! { |client, payload| {
            let context = Context::current().with_timeout(LONG);
            context.scope(async { client.echo(payload.clone()).await }).await?.len()
        } }
    }
    "in five contexts, one in the other", "courier", false => ContextNested {
        call! { |client, payload| {
            let context = (0..5_u64).fold(Context::current(), |context, value| context.with_value(value));
            context.scope(async { client.echo(payload.clone()).await }).await?.len()
        } }
    }
}
