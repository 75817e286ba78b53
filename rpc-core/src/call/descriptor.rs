//! What is known of a service before any call: names, methods, shapes, codecs, policies, documentation.
//!
//! `#[service]` writes one [`ServiceDescriptor`] a trait, as `greeter::DESCRIPTOR`. Routing, metrics' labels and the
//! schema export read it; nothing changes it.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::message::schema::MessageSchema;

/// A service: its name and its methods.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServiceDescriptor {
    /// The full name, `demo.v1.Greeter`.
    pub name: &'static str,
    /// The methods; a method's [`index`](MethodDescriptor::index) is its place here.
    pub methods: &'static [MethodDescriptor],
    /// The codecs that it speaks; the first is what a client uses unless told otherwise.
    pub codecs: &'static [CodecInfo],
    /// The trait's doc comment.
    pub docs: &'static str,
}

/// A method of a service.
#[non_exhaustive]
pub struct MethodDescriptor {
    /// The service's full name.
    pub service: &'static str,
    /// The method's name on the wire, `SayHello`.
    pub name: &'static str,
    /// Both, `demo.v1.Greeter/SayHello`: what travels when the method is first used on a connection.
    pub path: &'static str,
    /// Its place among the service's methods.
    pub index: usize,
    /// How many messages go each way.
    pub shape: Shape,
    /// Whether the caller is not answered.
    pub oneway: bool,
    /// Whether running it twice is as good as once, so that it may be retried after it may have run.
    pub idempotent: bool,
    /// Whether its handler always gets a task of its own.
    pub spawn: bool,
    /// The time that a call has unless the caller says otherwise.
    pub timeout: Option<Duration>,
    /// What a request looks like, each one of a stream; `None` if its type does not say: one that prost generated from a
    /// `.proto` file, or one that only serde knows.
    pub request: fn() -> Option<&'static MessageSchema>,
    /// What a reply looks like, each one of a stream; `None` as above.
    pub reply: fn() -> Option<&'static MessageSchema>,
    /// The method's doc comment.
    pub docs: &'static str,
    /// A number that is unique in this process, taken at the method's first use.
    key: AtomicU32,
}

/// How many messages go each way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// One request, one reply.
    Unary,
    /// One request, a stream of replies.
    ServerStreaming,
    /// A stream of requests, one reply.
    ClientStreaming,
    /// A stream each way.
    BidiStreaming,
}

/// A codec, as a descriptor names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodecInfo {
    /// The number on the wire.
    pub id: u8,
    /// The name for people.
    pub name: &'static str,
}

impl ServiceDescriptor {
    /// A service of these parts. For generated code, and for services made by hand.
    pub const fn new(
        name: &'static str,
        methods: &'static [MethodDescriptor],
        codecs: &'static [CodecInfo],
        docs: &'static str,
    ) -> Self {
        Self { name, methods, codecs, docs }
    }

    /// The method of this name on the wire.
    pub fn method(&self, name: &str) -> Option<&MethodDescriptor> {
        self.methods.iter().find(|method| method.name == name)
    }
}

impl CodecInfo {
    /// A codec of this number and name.
    pub const fn new(id: u8, name: &'static str) -> Self {
        Self { id, name }
    }
}

impl MethodDescriptor {
    /// A unary method; `path` must be `service`, a slash, and `name`.
    pub const fn new(service: &'static str, name: &'static str, path: &'static str, index: usize) -> Self {
        Self {
            service,
            name,
            path,
            index,
            shape: Shape::Unary,
            oneway: false,
            idempotent: false,
            spawn: false,
            timeout: None,
            request: || None,
            reply: || None,
            docs: "",
            key: AtomicU32::new(0),
        }
    }

    /// The same method, with this shape.
    #[must_use]
    pub const fn with_shape(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }

    /// The same method, whose callers are not answered.
    #[must_use]
    pub const fn with_oneway(mut self) -> Self {
        self.oneway = true;
        self
    }

    /// The same method, safe to run twice.
    #[must_use]
    pub const fn with_idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// The same method, whose handler always gets a task.
    #[must_use]
    pub const fn with_spawn(mut self) -> Self {
        self.spawn = true;
        self
    }

    /// The same method, with this much time for a call.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The same method, with these messages.
    #[must_use]
    pub const fn with_messages(
        mut self,
        request: fn() -> Option<&'static MessageSchema>,
        reply: fn() -> Option<&'static MessageSchema>,
    ) -> Self {
        self.request = request;
        self.reply = reply;
        self
    }

    /// The same method, with this doc comment.
    #[must_use]
    pub const fn with_docs(mut self, docs: &'static str) -> Self {
        self.docs = docs;
        self
    }

    /// A small number that stands for this method in this process: connections keep their bindings in a list by it.
    pub(crate) fn key(&self) -> u32 {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        match self.key.load(Ordering::Relaxed) {
            0 => {
                let fresh = NEXT.fetch_add(1, Ordering::Relaxed);
                // Where two threads meet here, the first one's number holds for both.
                match self.key.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => fresh,
                    Err(taken) => taken,
                }
            }
            key => key,
        }
    }
}

impl fmt::Debug for MethodDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MethodDescriptor")
            .field("path", &self.path)
            .field("shape", &self.shape)
            .field("oneway", &self.oneway)
            .field("idempotent", &self.idempotent)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
